import HTTPTypes
import NIOCore
import NIOHTTP1

/// What is written to a connection.
enum Outgoing {
  case answer(Answer, requestID: String)
  /// Of a response of the router's, or of 100 (Continue).
  case part(HTTPServerResponsePart)
}

/// Makes the bytes of a connection (RFC 9112): of an answer at once, as one buffer, and of all else by NIO's encoder, which
/// takes each answer in three parts, and works out the framing that an answer's headers have already.
final class AnswerEncoder: ChannelOutboundHandler {
  typealias OutboundIn = Outgoing
  typealias OutboundOut = IOData

  private let parts = HTTPResponseEncoder()

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .answer(let answer, let requestID):
      let bytes = answer.http1Bytes(requestID: requestID)
      context.write(wrapOutboundOut(.byteBuffer(bytes)), promise: promise)
    case .part(.head(var head)):
      // Not where the response says how it may be kept, nor to 100 (Continue), which is no answer yet.
      if head.status.code >= 200, !head.headers.contains(name: Self.noStore.name) {
        head.headers.add(name: Self.noStore.name, value: Self.noStore.value)
      }
      parts.write(context: context, data: NIOAny(HTTPServerResponsePart.head(head)), promise: promise)
    case .part(let part): parts.write(context: context, data: NIOAny(part), promise: promise)
    }
  }

  /// In every answer: what it shows changes by the millisecond, a refusal as well. A cache once told that a paid order was
  /// unpaid.
  fileprivate static let noStore = (name: "Cache-Control", value: "no-store")
}

@available(*, unavailable)
extension AnswerEncoder: Sendable {}

extension Answer {
  /// The status line, the header fields and the body. Not for a status that has no body (1xx, 204, 304).
  ///
  /// - Parameter requestID: without control characters, as all other values here.
  func http1Bytes(requestID: String) -> ByteBuffer {
    // An array, since every short piece costs a `ByteBuffer` a call that checks a lot.
    var head: [UInt8] = []
    head.reserveCapacity(512)  // fits that of the longest answer of a fast route
    func append(_ text: String) { head.append(contentsOf: text.utf8) }
    func append(_ name: String, _ value: String) {
      append(name)
      append(": ")
      append(value)
      append("\r\n")
    }
    append("HTTP/1.1 ")
    append(status.code.description)
    append(" ")
    append(status.reasonPhrase)
    append("\r\n")
    for header in headers { append(header.name.rawName, header.value) }
    append(AnswerEncoder.noStore.name, AnswerEncoder.noStore.value)
    append("Date", DateHeader.now())
    append(HTTPField.Name.xRequestID.rawName, requestID)
    append("\r\n")
    var bytes = ByteBufferAllocator().buffer(capacity: head.count + body.readableBytes)
    bytes.writeBytes(head)
    bytes.writeImmutableBuffer(body)
    return bytes
  }
}
