import Checkout
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Secrets
import ServiceLifecycle
import Telemetry
import Tracing

/// The HTTP server in front of a checkout: HTTP in, JSON out, no rules of its own.
public struct APIServer: Service, CustomStringConvertible {
  public struct Configuration: Sendable {
    /// The name or address to listen on.
    public var host = "127.0.0.1"
    /// 0 lets the system choose.
    public var port = 8080
    /// Checks payment events. Nil takes unsigned ones, for local use.
    public var webhookVerifier: WebhookVerifier?
    /// Opens the admin calls. Nil keeps them closed.
    public var adminToken: Secret?
    /// The bearer token of `GET /metrics`. With nil the call needs no token.
    public var metricsToken: Secret?
    /// Whose `X-Forwarded-For` tells a client's address.
    public var trustedProxies = TrustedProxies()
    /// Whether requests have to name this machine as their host, for a server on loopback that anybody may call.
    public var isForLoopbackNames = false
    /// Larger request bodies are refused.
    public var maximumBodyBytes = 16 * 1024
    /// A request that takes longer to arrive, from its first byte to its last, is refused.
    public var requestTimeout: Duration = .seconds(10)
    /// A connection without a request for this long is closed.
    public var idleTimeout: Duration = .seconds(60)
    /// How long it goes on serving when it was told to end, while `GET /health/ready` says that it is not ready: so that
    /// those who spread requests among servers leave it out before it is gone.
    public var shutdownDelay: Duration = .zero
    /// Where to record requests, and what `GET /metrics` shows. Nil does neither.
    public var metrics: MetricsRegistry?
    /// Records a span for each request. Nil records none.
    public var tracer: (any Tracer)?

    /// Streams of stock at the same time; others are refused. One client has a tenth of them at most.
    public var maximumStreams = 10_000
    /// Connections at the same time; others wait to be accepted.
    public var maximumConnections = Int.max
    var streamLimits = StockStream.Limits()

    public init(webhookVerifier: WebhookVerifier?, adminToken: Secret?) {
      self.webhookVerifier = webhookVerifier
      self.adminToken = adminToken
    }
  }

  /// Connections that wait to be accepted. A sale's buyers all connect in the same second.
  private static let backlog = 4096

  /// Short: a group of services prints it.
  public var description: String { "APIServer" }

  let streams: StockStreams
  private let application: Application<RouterResponder<AppContext>>
  private let connectionTasks = ConnectionTasks()
  private let draining = Draining()
  private let shutdownDelay: Duration
  private let logger: Logger

  /// - Parameter onListening: called with the port once connections are accepted.
  public init(
    checkout: Checkout, configuration: Configuration, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
  ) {
    let streams = StockStreams(
      checkout: checkout, maximumCount: configuration.maximumStreams, limits: configuration.streamLimits)
    self.streams = streams
    self.logger = logger
    shutdownDelay = configuration.shutdownDelay
    let log = SparseLog(logger: logger)
    let fastRoutes = FastRoutes(
      routes: Self.fastRoutes(checkout: checkout, configuration: configuration, log: log),
      metrics: configuration.metrics.map { RequestMetrics(in: $0) },
      spans: configuration.tracer.map { RequestSpans(tracer: $0) }, logger: logger)
    let router = Self.makeRouter(
      checkout: checkout, configuration: configuration, streams: streams, fastRoutes: fastRoutes, draining: draining,
      log: log)
    let limits = RequestGate.Limits(
      maximumBodyBytes: configuration.maximumBodyBytes, requestTimeout: TimeAmount(configuration.requestTimeout),
      idleTimeout: TimeAmount(configuration.idleTimeout), isForLoopbackNames: configuration.isForLoopbackNames)
    application = Application(
      responder: router.buildResponder(),
      server: HTTPServerBuilder { [draining, connectionTasks] responder in
        HTTPConnections(
          limits: limits, draining: draining, routes: fastRoutes, tasks: connectionTasks, responder: responder)
      },
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), backlog: Self.backlog,
        availableConnectionsDelegate: MaximumAvailableConnections(configuration.maximumConnections)),
      // Ended after the server, from the last to the first: connections still need those who look after streams.
      services: [streams, connectionTasks],
      onServerRunning: { [draining] channel in
        draining.listener = Listener(channel: channel)
        await onListening(channel.localAddress?.port ?? configuration.port)
      },
      logger: logger)
  }

  /// Serves until graceful shutdown, then for `shutdownDelay`, and then until the requests under way are answered. Every
  /// answer from then on is the last one of its connection; streams end after the delay.
  ///
  /// - Throws: when it cannot listen.
  public func run() async throws {
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [application], logger: logger))
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
