import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A receiver of event webhooks on loopback. It records the requests, and may respond badly.
package final class WebhookReceiver: Sendable {
  package struct Request: Sendable {
    package let method: String
    package let path: String
    /// By lower-case names.
    package let headers: [String: String]
    package let body: Data
    /// The number of the connection, from 1.
    package let connection: Int
  }

  package enum Reply: Sendable {
    /// A response without a body.
    case status(UInt, headers: [(String, String)] = [])
    /// A response without a body, after a delay.
    case late(UInt, after: Duration)
    /// 200, and a body with so many bytes.
    case long(bytes: Int)
    /// 200, and a body that never ends.
    case endless
    /// 200, and a body that stops in the middle.
    case unfinished
    /// No response.
    case silence
    /// The connection is closed without a response.
    case hangUp
  }

  private struct State {
    var requests: [Request] = []
    var connections = 0
    var sentBytes = 0
  }

  package let port: Int
  private let isTLS: Bool
  private let state: SharedState

  private final class SharedState: Sendable {
    let locked = Mutex(State())
  }

  private init(port: Int, isTLS: Bool, state: SharedState) {
    self.port = port
    self.isTLS = isTLS
    self.state = state
  }

  /// The URL of the receiver, with another host name if a test resolves names itself.
  package func url(host: String = "127.0.0.1", path: String = "/hooks") -> String {
    "\(isTLS ? "https" : "http")://\(host):\(port)\(path)"
  }

  package var requests: [Request] { state.locked.withLock { $0.requests } }
  package var connectionCount: Int { state.locked.withLock { $0.connections } }
  /// The bytes of long and endless bodies that were written so far.
  package var sentBytes: Int { state.locked.withLock { $0.sentBytes } }

  /// Runs a receiver on a free port while `body` runs.
  ///
  /// - Parameters:
  ///   - tls: its certificate and key. Nil for plain HTTP.
  ///   - reply: called for each request, in their order.
  package static func with(
    tls: TLSConfiguration? = nil, reply: @escaping @Sendable (Request) -> Reply = { _ in .status(204) },
    _ body: (WebhookReceiver) async throws -> Void
  ) async throws {
    let context = try tls.map { try NIOSSLContext(configuration: $0) }
    let state = SharedState()
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let context { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
          try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
          try pipeline.addHandler(Handler(state: state, reply: reply))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let receiver = WebhookReceiver(port: server.localAddress?.port ?? 0, isTLS: tls != nil, state: state)
    do {
      try await body(receiver)
    } catch {
      try? await server.close()
      throw error
    }
    try await server.close()
  }

  /// Writes responses as bytes, so that it can write any.
  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private static let chunk = ByteBuffer(repeating: UInt8(ascii: "x"), count: 16_384)

    private let state: SharedState
    private let reply: @Sendable (Request) -> Reply
    private var connection = 0
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(state: SharedState, reply: @escaping @Sendable (Request) -> Reply) {
      self.state = state
      self.reply = reply
    }

    func channelActive(context: ChannelHandlerContext) {
      connection = state.locked.withLock { state in
        state.connections += 1
        return state.connections
      }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        self.head = head
        body.clear()
      case .body(var part): body.writeBuffer(&part)
      case .end: respond(on: context.channel)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }

    private func respond(on channel: any Channel) {
      guard let head else { return }
      let headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { "\($0), \($1)" }
      let request = Request(
        method: head.method.rawValue, path: head.uri, headers: headers, body: Data(body.readableBytesView),
        connection: connection)
      state.locked.withLock { $0.requests.append(request) }
      switch reply(request) {
      case .status(let status, let headers): write(Self.head(status, headers), to: channel)
      case .late(let status, let delay):
        channel.eventLoop.scheduleTask(in: TimeAmount(delay)) {
          channel.writeAndFlush(ByteBuffer(string: Self.head(status)), promise: nil)
        }
      case .long(let bytes):
        write("HTTP/1.1 200 OK\r\ncontent-length: \(bytes)\r\n\r\n", to: channel)
        Self.pour(bytes, into: channel, state)
      case .endless:
        write("HTTP/1.1 200 OK\r\ncontent-length: \(1 << 40)\r\n\r\n", to: channel)
        Self.pour(1 << 40, into: channel, state)
      case .unfinished: write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", to: channel)
      case .silence: break
      case .hangUp: channel.close(promise: nil)
      }
    }

    private static func head(_ status: UInt, _ headers: [(String, String)] = []) -> String {
      let fields = (headers + [("content-length", "0")]).map { "\($0.0): \($0.1)\r\n" }.joined()
      return "HTTP/1.1 \(status) Whatever\r\n\(fields)\r\n"
    }

    private func write(_ text: String, to channel: any Channel) {
      channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
    }

    /// Writes a chunk whenever the one before it has left, until the client closes the connection.
    private static func pour(_ bytes: Int, into channel: any Channel, _ state: SharedState) {
      let count = min(bytes, chunk.readableBytes)
      guard count > 0 else { return }
      channel.writeAndFlush(chunk.getSlice(at: 0, length: count)!).whenSuccess {
        state.locked.withLock { $0.sentBytes += count }
        // A write may end at once, so a direct call would recur without a bound.
        channel.eventLoop.execute { pour(bytes - count, into: channel, state) }
      }
    }
  }
}
