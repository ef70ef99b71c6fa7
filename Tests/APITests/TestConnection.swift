import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import API

/// A connection on an embedded event loop, whose clock the test advances. The test decides when a route responds.
struct TestConnection {
  /// Requests that wait for their responses.
  final class WaitingRequests: Sendable {
    private let requests = Mutex<[(request: Request, respond: Route.Respond)]>([])

    var count: Int { requests.withLock { $0.count } }
    var first: Request? { requests.withLock { $0.first?.request } }

    func append(_ request: Request, _ respond: @escaping Route.Respond) {
      requests.withLock { $0.append((request, respond)) }
    }

    func removeFirst() -> (request: Request, respond: Route.Respond)? {
      requests.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
  }

  /// Closes the output only. An embedded channel cannot do that itself.
  final class HalfClosing: ChannelOutboundHandler {
    typealias OutboundIn = Never
    private(set) var isOutputClosed = false
    /// Whether the client reads the response. Until it does, the output stays open.
    var isRead = true

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
      guard mode == .output else { return context.close(mode: mode, promise: promise) }
      isOutputClosed = true
      promise?.succeed()
      if isRead { context.fireUserInboundEventTriggered(ChannelEvent.outputClosed) }
    }
  }

  let channel: EmbeddedChannel
  let waiting = WaitingRequests()
  let draining = Draining()
  let output = HalfClosing()
  let reads = ReadCounter()

  static let configuration = ConnectionHandler.Configuration(
    maximumBodyBytes: 1000, requestTimeout: .seconds(10), idleTimeout: .seconds(60))

  /// - Parameters:
  ///   - routes: matched before the routes whose responses the test sends.
  ///   - sharing: the sites whose pages may read responses to buyers.
  ///   - metrics: records the exchanges, as `spans`, `accessLog` and `logger` do.
  init(
    configuration: ConnectionHandler.Configuration = TestConnection.configuration, routes: [Route] = [],
    sharing: CrossOriginSharing? = nil, metrics: RequestMetrics? = nil, spans: RequestSpans? = nil,
    accessLog: AccessLog? = nil, logger: Logger = Logger(label: "test")
  ) throws {
    let waiting = waiting
    let waitingRoutes = ["/", "/{any}", "/things/{id}"].flatMap { path in
      [HTTPMethod.GET, .POST, .CONNECT].map { method in
        Route(method, path, callback: { request, respond in waiting.append(request, respond) })
      }
    }
    let exchanges = Exchanges(
      routes: RouteTable(routes: routes + waitingRoutes), sharing: sharing, metrics: metrics, spans: spans,
      accessLog: accessLog, logger: logger)
    let decoder = RequestDecoder()
    channel = EmbeddedChannel(handlers: [
      output, reads, ByteToMessageHandler(decoder),
      ConnectionHandler(configuration: configuration, exchanges: exchanges, draining: draining, decoder: decoder),
    ])
    try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
  }

  /// Receives the text in one read.
  func receive(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

  /// Receives the text in two reads.
  func receive(_ text: String, cutAt cut: Int) throws {
    try channel.writeInbound(ByteBuffer(bytes: text.utf8.prefix(cut)))
    try channel.writeInbound(ByteBuffer(bytes: text.utf8.dropFirst(cut)))
  }

  func request(_ method: String = "POST", _ path: String = "/a", headers: String = "", body: String = "") throws {
    let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
    try receive("\(method) \(path) HTTP/1.1\r\nHost: sale\r\n\(length)\(headers)\r\n\(body)")
  }

  /// Responds to the request that has waited longest.
  ///
  /// - Returns: the request's method, address and body; nil if no request waits.
  @discardableResult func respond(_ text: String = "") -> String? {
    guard let (request, respond) = waiting.removeFirst() else { return nil }
    respond { Response(contentType: "text/plain", body: ByteBuffer(string: text)) }
    channel.embeddedEventLoop.run()
    let body = request.body.readableBytes > 0 ? " " + String(buffer: request.body) : ""
    return "\(request.method.rawValue) \(request.head.uri)\(body)"
  }

  /// Responds to all waiting requests, and returns them.
  func serve() -> [String] {
    var requests: [String] = []
    while let request = respond() { requests.append(request) }
    return requests
  }

  /// The version, the status and `Connection` of each response written since the last call.
  func responses() throws -> [String] {
    channel.embeddedEventLoop.run()
    var lines: [String] = []
    while let bytes = try channel.readOutbound(as: ByteBuffer.self) {
      let text = String(buffer: bytes)
      guard text.hasPrefix("HTTP/") else { continue }
      let connection = text.firstMatch(of: /\r\nConnection: ([^\r]*)/)?.output.1 ?? "-"
      lines.append("\(text.prefix(12).dropFirst(5)) \(connection)")
    }
    return lines
  }

  /// The status of each response written since the last call.
  func statuses() throws -> [Int] { try responses().compactMap { Int($0.split(separator: " ")[1]) } }

  /// All bytes written since the last call.
  func written() throws -> String {
    channel.embeddedEventLoop.run()
    var text = ""
    while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
    return text
  }

  func fire(_ event: any Sendable) { channel.pipeline.fireUserInboundEventTriggered(event) }

  func advance(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }
}
