import Checkout
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Secrets
import ServiceLifecycle
import Telemetry
import Tracing

/// The HTTP server in front of a checkout: HTTP in, JSON out, no rules of its own.
package struct APIServer: Service, CustomStringConvertible {
  package struct Configuration: Sendable {
    /// The name or address to listen on.
    package var host = "127.0.0.1"
    /// 0 lets the system choose.
    package var port = 8080
    /// Checks payment events. Nil takes unsigned ones, for local use.
    package var webhookVerifier: WebhookVerifier?
    /// Opens the admin calls. Nil keeps them closed.
    package var adminToken: Secret?
    /// The bearer token of `GET /metrics`. With nil the call needs no token.
    package var metricsToken: Secret?
    /// Whose `X-Forwarded-For` tells a client's address.
    package var trustedProxies = TrustedProxies()
    /// Whether requests have to name this machine as their host, for a server on loopback that anybody may call.
    package var isForLoopbackNames = false
    /// Larger request bodies are refused.
    package var maximumBodyBytes = 16 * 1024
    /// A request that takes longer to arrive, from its first byte to its last, is refused.
    package var requestTimeout: Duration = .seconds(10)
    /// A connection without a request for this long is closed.
    package var idleTimeout: Duration = .seconds(60)
    /// How long it goes on serving when it was told to end, while `GET /health/ready` says that it is not ready: so that
    /// those who spread requests among servers leave it out before it is gone.
    package var shutdownDelay: Duration = .zero
    /// Where to record requests, and what `GET /metrics` shows. Nil does neither.
    package var metrics: MetricsRegistry?
    /// Records a span for each request. Nil records none.
    package var tracer: (any Tracer)?
    /// Log one request of so many at its end; at least 1. Nil logs none.
    package var accessLogSampling: Int?

    /// Streams of stock at the same time; others are refused. One client has a tenth of them at most.
    package var maximumStreams = 10_000
    /// Connections at the same time; others wait to be accepted.
    package var maximumConnections = Int.max
    var streamLimits = StockStream.Limits()

    package init(webhookVerifier: WebhookVerifier?, adminToken: Secret?) {
      self.webhookVerifier = webhookVerifier
      self.adminToken = adminToken
    }
  }

  /// Connections that wait to be accepted. A sale's buyers all connect in the same second.
  private static let backlog = 4096

  /// Short: a group of services prints it.
  package var description: String { "APIServer" }

  let streams: StockStreams
  private let server: Server<ConnectionSetup>
  private let connections = OpenConnections()
  private let draining = Draining()
  private let shutdownDelay: Duration
  private let logger: Logger

  /// - Parameter onListening: called with the port once connections are accepted.
  package init(
    checkout: Checkout, configuration: Configuration, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
  ) {
    let streams = StockStreams(
      checkout: checkout, maximumCount: configuration.maximumStreams, limits: configuration.streamLimits)
    self.streams = streams
    self.logger = logger
    shutdownDelay = configuration.shutdownDelay
    let exchanges = Exchanges(
      routes: Self.routes(
        checkout: checkout, configuration: configuration, streams: streams, draining: draining,
        log: SparseLog(logger: logger)),
      metrics: configuration.metrics.map { RequestMetrics(in: $0) },
      spans: configuration.tracer.map { RequestSpans(tracer: $0) },
      accessLog: configuration.accessLogSampling.map {
        AccessLog(logger: logger, proxies: configuration.trustedProxies, sampling: $0)
      },
      logger: logger)
    let setup = ConnectionSetup(
      configuration: ConnectionHandler.Configuration(
        maximumBodyBytes: configuration.maximumBodyBytes, requestTimeout: TimeAmount(configuration.requestTimeout),
        idleTimeout: TimeAmount(configuration.idleTimeout), isForLoopbackNames: configuration.isForLoopbackNames),
      exchanges: exchanges, draining: draining, connections: connections)
    server = Server(
      childChannelSetup: setup,
      configuration: ServerConfiguration(
        address: .hostname(configuration.host, port: configuration.port), backlog: Self.backlog,
        availableConnectionsDelegate: MaximumAvailableConnections(configuration.maximumConnections)),
      onServerRunning: { [draining] channel in
        draining.listener = Listener(channel: channel)
        await onListening(channel.localAddress?.port ?? configuration.port)
      },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
  }

  /// Serves until graceful shutdown, then for `shutdownDelay`, and then until the requests under way are answered. Every
  /// answer from then on is the last one of its connection; streams end after the delay.
  ///
  /// - Throws: when it cannot listen.
  package func run() async throws {
    // Ended from the last to the first: open connections still need the service of their streams.
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(services: [streams, connections, server], logger: logger))
    // Detached, or the shutdown of the services around us would be its own.
    let serving = Task.detached { try await group.run() }
    try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await serving.value
      } onGracefulShutdown: { [logger] in
        draining.begin()
        logger.notice(
          "draining: answers end their connections, then nothing new is accepted",
          metadata: ["delay": "\(shutdownDelay)"])
        Task {
          try? await Task.sleep(for: shutdownDelay)
          await draining.listener?.drain(logger: logger)
          streams.end()
          await group.triggerGracefulShutdown()
        }
      }
    } onCancel: {
      serving.cancel()
    }
  }
}
