import Foundation
import NIOCore
import NIOPosix
import Testing

/// A TCP connection to a server, for bytes that no HTTP client would send.
struct RawConnection: ~Copyable {
  private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  private var received = ByteBuffer()

  /// Runs `body` with a connection, and closes it afterwards.
  static func with<Result: Sendable>(
    port: Int, _ body: (inout RawConnection) async throws -> Result
  ) async throws -> Result {
    let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      var connection = RawConnection(outbound: outbound, inbound: inbound.makeAsyncIterator())
      return try await body(&connection)
    }
  }

  /// Whether the server's port refuses a new connection.
  static func isRefused(port: Int) async throws -> Bool {
    do {
      try await with(port: port) { _ in }
      return false
    } catch is NIOConnectionError {
      return true
    }
  }

  /// - Throws: when the server has closed the connection.
  func send(_ bytes: some Sequence<UInt8>) async throws {
    try await outbound.write(ByteBuffer(bytes: bytes))
  }

  /// The next response.
  ///
  /// - Throws: when the connection ends before the response does.
  mutating func answer() async throws -> APIClient.Answer {
    let (status, headers) = try await head()
    let length = headers["content-length"].flatMap { Int($0) } ?? 0
    while received.readableBytes < length { try await readMoreOrThrow() }
    return APIClient.Answer(status: status, headers: headers, body: received.readSlice(length: length)!)
  }

  /// The next response, to a request whose bytes are sent one by one.
  ///
  /// - Returns: the response, and whether all bytes had been sent before it.
  /// - Throws: when the connection ends before the response does.
  mutating func answer(
    whileSending bytes: [UInt8], every interval: Duration
  ) async throws -> (APIClient.Answer, isComplete: Bool) {
    let sending = Task { [outbound] in
      for byte in bytes {
        try await Task.sleep(for: interval)
        try await outbound.write(ByteBuffer(bytes: [byte]))
      }
    }
    defer { sending.cancel() }
    let answer = try await answer()
    sending.cancel()
    switch await sending.result {
    case .success: return (answer, isComplete: true)
    case .failure: return (answer, isComplete: false)
    }
  }

  /// The next bytes, up to and including this text.
  ///
  /// - Throws: when the connection ends before.
  mutating func text(until end: String) async throws -> String {
    while true {
      if let range = Data(received.readableBytesView).range(of: Data(end.utf8)) {
        return received.readString(length: range.upperBound)!
      }
      try await readMoreOrThrow()
    }
  }

  /// The status and the headers of the next response.
  mutating func head() async throws -> (status: UInt, headers: [String: String]) {
    var end = headEnd
    while end == nil {
      try await readMoreOrThrow()
      end = headEnd
    }
    let head = received.readString(length: end!)!
    var lines = head.split(separator: "\r\n").makeIterator()
    let status = try #require(lines.next()?.split(separator: " ").dropFirst().first.flatMap { UInt($0) }, "\(head)")
    var headers: [String: String] = [:]
    while let line = lines.next() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
    }
    return (status, headers)
  }

  private var headEnd: Int? {
    Data(received.readableBytesView).range(of: Data("\r\n\r\n".utf8))?.upperBound
  }

  private mutating func readMoreOrThrow() async throws {
    guard await readMore() else { throw UnexpectedEnd(received: String(buffer: received)) }
  }

  struct UnexpectedEnd: Error {
    let received: String
  }

  /// Waits for the server to close the connection.
  ///
  /// - Returns: whether no further bytes came before that.
  mutating func isClosed() async -> Bool {
    while await readMore() {}
    return received.readableBytes == 0
  }

  /// The bytes up to and including this text at the end of what has arrived, or until the server closes the connection.
  mutating func rest(until end: String) async -> ByteBuffer {
    let end = Array(end.utf8)
    while !received.readableBytesView.suffix(end.count).elementsEqual(end), await readMore() {}
    defer { received.clear() }
    return received
  }

  /// False when the connection has ended, with or without an error.
  private mutating func readMore() async -> Bool {
    guard var bytes = try? await inbound.next() else { return false }
    received.writeBuffer(&bytes)
    return true
  }
}
