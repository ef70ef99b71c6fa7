import Checkout
import EventWebhooks
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Secrets
import ServiceLifecycle
import Telemetry
import Tracing

/// The HTTP server of a checkout. It translates between HTTP and use cases, and has no business rules.
package struct APIServer: Service, CustomStringConvertible {
  package struct Configuration: Sendable {
    /// The host name or IP address to listen on.
    package var host = "127.0.0.1"
    /// The TCP port. With 0, the system chooses one.
    package var port = 8080
    /// Verifies the signatures of payment events. With nil, the server accepts unsigned events, for local use.
    package var webhookVerifier: WebhookVerifier?
    /// Verifies the signatures of Stripe's events. With nil, the server has no route for them.
    package var stripeVerifier: StripeVerifier?
    /// The bearer token of admin requests with all rights. With nil, only keys in the database admit operators.
    package var adminToken: Secret?
    /// The bearer token of `GET /metrics`. With nil, the request needs no token.
    package var metricsToken: Secret?
    /// Verifies customer tokens. With nil, the body of a request names its customer.
    package var customerTokens: CustomerTokens?
    /// The requests that change something which one client may send in a second; at least 0.1. With nil, there is no
    /// limit.
    package var rateLimitPerClient: Double?
    /// The sites whose pages may read responses to buyers. With nil, no page of another site may.
    package var sharing: CrossOriginSharing?
    /// The proxies whose `X-Forwarded-For` gives the client's address, and whose `X-Forwarded-Proto` says whether it used
    /// TLS.
    package var trustedProxies = TrustedProxies()
    /// Decides to which addresses operators may send events.
    package var endpointPolicy = EndpointPolicy(allowsPrivate: false)
    /// The settings of the pages for buyers. With nil, the server has no pages.
    package var pages: PageSettings?
    /// Whether to refuse requests whose `Host` does not name this machine. It prevents DNS rebinding of a local server.
    package var isForLoopbackNames = false
    /// The largest request body, in bytes, unless the route accepts larger ones. Larger ones are refused.
    package var maximumBodyBytes = 16 * 1024
    /// The longest time between the first and the last byte of a request. Slower requests are refused.
    package var requestTimeout: Duration = .seconds(10)
    /// A connection is closed after this time without a request, or with a response that the client does not read.
    package var idleTimeout: Duration = .seconds(60)
    /// The time between graceful shutdown and the end of accepting connections.
    ///
    /// During this time `GET /health/ready` is 503, so load balancers stop using the server before it is gone.
    package var shutdownDelay: Duration = .zero
    /// Records metrics of requests, and is shown by `GET /metrics`. With nil, there are no metrics and no such route.
    package var metrics: MetricsRegistry?
    /// Records a span for each request. With nil, no spans are recorded.
    package var tracer: (any Tracer)?
    /// The access log has one of this many requests; at least 1. With nil, there is no access log.
    package var accessLogSampling: Int?

    /// The most open streams; further ones are refused. One client has at most a tenth of them.
    package var maximumStreams = 10_000
    /// The most open connections; further ones wait to be accepted.
    package var maximumConnections = Int.max
    var streamLimits = EventStream.Limits()

    package init(webhookVerifier: WebhookVerifier?, adminToken: Secret?) {
      self.webhookVerifier = webhookVerifier
      self.adminToken = adminToken
    }
  }

  /// The most connections that wait to be accepted. All buyers of a sale may connect in the same second.
  private static let backlog = 4096

  /// Short, because `ServiceGroup` logs it.
  package var description: String { "APIServer" }

  let streams: StockStreams
  private let ticks: Ticks
  private let server: Server<ConnectionSetup>
  private let connections = OpenConnections()
  private let draining = Draining()
  private let shutdownDelay: Duration
  private let logger: Logger

  /// - Parameter onListening: called with the port when the server accepts connections.
  package init(
    checkout: Checkout, configuration: Configuration, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
  ) {
    let streams = StockStreams(
      checkout: checkout, maximumCount: configuration.maximumStreams, limits: configuration.streamLimits)
    let figures = LiveFigures()
    let identity = ServerIdentity(startedAt: .now)
    let ticks = Ticks(checkout: checkout, streams: streams, figures: figures, identity: identity)
    self.streams = streams
    self.ticks = ticks
    self.logger = logger
    shutdownDelay = configuration.shutdownDelay
    let exchanges = Exchanges(
      routes: Self.routes(
        checkout: checkout, configuration: configuration, streams: streams, ticks: ticks,
        draining: draining, log: SparseLog(logger: logger)),
      sharing: configuration.sharing,
      metrics: configuration.metrics.map { RequestMetrics(in: $0) },
      spans: configuration.tracer.map { RequestSpans(tracer: $0) },
      accessLog: configuration.accessLogSampling.map {
        AccessLog(logger: logger, proxies: configuration.trustedProxies, sampling: $0)
      },
      figures: figures, logger: logger)
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
        let port = channel.localAddress?.port ?? configuration.port
        identity.listens(on: port)
        await onListening(port)
      },
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
  }

  /// Serves until graceful shutdown, and then for `shutdownDelay`. Then it ends streams and accepts no new connections.
  /// It returns when all connections are closed.
  ///
  /// After graceful shutdown, a response is the last one of its connection unless another request has already arrived.
  ///
  /// - Throws: an error if it cannot listen.
  package func run() async throws {
    // The group shuts services down from last to first. Open connections need `streams` until they are closed.
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(services: [streams, ticks, connections, server], logger: logger))
    // A detached task, because graceful shutdown of the caller must reach this group only after `shutdownDelay`.
    let serving = Task.detached { try await group.run() }
    try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await serving.value
      } onGracefulShutdown: { [logger] in
        draining.begin()
        logger.notice(
          "draining: responses close their connections; after the delay no new connections are accepted",
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
