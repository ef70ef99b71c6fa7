import DequeModule
import NIOCore
import NIOHTTP1
import NIOPosix

/// An HTTP/1.1 client for one server, on one event loop, with a bounded number of keep-alive connections.
///
/// A request waits until a connection is free. It does not retry. All methods must be called on the event loop.
final class LoadClient {
  struct Configuration: Sendable {
    var address: SocketAddress
    /// The value of `Host`.
    var authority: String
    /// The most connections.
    var connections = 256
    var connectTimeout = TimeAmount.seconds(2)
    /// The longest time from a request to the end of its response.
    var responseTimeout = TimeAmount.seconds(10)
  }

  /// How often overdue requests are looked for. One timer for each request would cost more.
  private static let sweepInterval = TimeAmount.milliseconds(100)

  private struct Waiting {
    let call: HTTPCall
    let completion: (HTTPResult) -> Void
  }

  private let configuration: Configuration
  private let loop: any EventLoop
  /// All open connections.
  private var open: [ObjectIdentifier: ClientConnection] = [:]
  /// Connections without a request. The last one used is used next, so that a server can close the others.
  private var free: [ClientConnection] = []
  private var opening = 0
  private var waiting: Deque<Waiting> = []
  private var isClosed = false

  init(_ configuration: Configuration, on loop: any EventLoop) {
    self.configuration = configuration
    self.loop = loop
    sweep()
  }

  func send(_ call: HTTPCall, completion: @escaping (HTTPResult) -> Void) {
    while let connection = free.popLast() {
      guard connection.isActive else { continue }
      return connection.send(call, authority: configuration.authority, completion: completion)
    }
    waiting.append(Waiting(call: call, completion: completion))
    openIfNeeded()
  }

  /// Closes all connections. Waiting requests and requests under way end as lost.
  func close() {
    isClosed = true
    for connection in open.values { connection.close() }
    while let next = waiting.popFirst() { fail(next, .closed) }
  }

  private func openIfNeeded() {
    while !isClosed, opening < waiting.count, open.count + opening < configuration.connections {
      opening += 1
      ClientBootstrap(group: loop)
        .connectTimeout(configuration.connectTimeout)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            // Headers are made here from valid parts, so they need no validation.
            try channel.pipeline.syncOperations.addHTTPClientHandlers(enableOutboundHeaderValidation: false)
            try channel.pipeline.syncOperations.addHandler(ClientConnection())
          }
        }
        .connect(to: configuration.address)
        .assumeIsolated().whenComplete { self.opened($0) }
    }
  }

  private func opened(_ result: Result<any Channel, any Error>) {
    opening -= 1
    do {
      let connection = try result.get().pipeline.syncOperations.handler(type: ClientConnection.self)
      open[ObjectIdentifier(connection)] = connection
      // Weak, because connections close after `close`, when the client may be gone.
      connection.onFree = { [weak self] in self?.use($0) }
      connection.onClosed = { [weak self] in self?.closed($0) }
      guard connection.isActive else { return closed(connection) }
      if isClosed { connection.close() } else { use(connection) }
    } catch {
      // Each attempt to connect was made for one waiting request.
      if let first = waiting.popFirst() { fail(first, .cannotConnect(error)) }
      openIfNeeded()
    }
  }

  private func use(_ connection: ClientConnection) {
    guard connection.isActive else { return }
    guard let next = waiting.popFirst() else { return free.append(connection) }
    connection.send(next.call, authority: configuration.authority, completion: next.completion)
  }

  private func closed(_ connection: ClientConnection) {
    open[ObjectIdentifier(connection)] = nil
    free.removeAll { $0 === connection }
    openIfNeeded()
  }

  private func fail(_ request: Waiting, _ reason: LostResponse) {
    let now = NIODeadline.now()
    request.completion(HTTPResult(sent: now, ended: now, outcome: .failure(reason)))
  }

  private func sweep() {
    loop.assumeIsolated().scheduleTask(in: Self.sweepInterval) { [weak self] in
      guard let self, !isClosed else { return }
      let limit = NIODeadline.now() - configuration.responseTimeout
      for connection in open.values { connection.expire(sentBefore: limit) }
      sweep()
    }
  }
}

@available(*, unavailable)
extension LoadClient: Sendable {}
