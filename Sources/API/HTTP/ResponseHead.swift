import NIOCore
import NIOHTTP1

/// Encodes the status line and the header fields of a response (RFC 9112, sections 4 and 5).
struct ResponseHead {
  let response: Response
  let requestID: String
  let framing: ConnectionState.Framing

  static let continueBytes = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")

  /// The head, followed by the body, in one buffer.
  ///
  /// It does not support the statuses 1xx. It does not validate header values. The only value that comes from a client is
  /// the request's id, which `RequestID` validates.
  func encoded(with body: ByteBuffer? = nil) -> ByteBuffer {
    // An array, because a ByteBuffer makes several checks for each short write.
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
    func append(_ name: String, _ value: String) {
      append(name)
      append(": ")
      append(value)
      append("\r\n")
    }
    append(framing.isHTTP10 ? "HTTP/1.0 " : "HTTP/1.1 ")
    append(response.status.code.description)
    append(" ")
    append(response.status.reasonPhrase)
    append("\r\n")
    for header in response.headers { append(header.name, header.value) }
    // Stock and orders change within milliseconds, so no cache may store them.
    append("Cache-Control", response.mayBeStored ? "no-cache" : "no-store")
    append("Date", DateHeader.now())
    append("X-Request-Id", requestID)
    if framing.isChunked { append("Transfer-Encoding", "chunked") }
    if let connection = framing.connection { append("Connection", connection) }
    append("\r\n")
    var buffer = ByteBufferAllocator().buffer(capacity: bytes.count + (body?.readableBytes ?? 0))
    buffer.writeBytes(bytes)
    if let body { buffer.writeImmutableBuffer(body) }
    return buffer
  }
}

/// The chunks of a body whose length is not known (RFC 9112, section 7.1).
enum Chunk {
  static let last = ByteBuffer(string: "0\r\n\r\n")

  /// - Parameter bytes: not empty, because an empty chunk ends the body.
  static func encoded(_ bytes: ByteBuffer) -> ByteBuffer {
    var chunk = ByteBuffer(string: String(bytes.readableBytes, radix: 16) + "\r\n")
    chunk.writeImmutableBuffer(bytes)
    chunk.writeString("\r\n")
    return chunk
  }
}
