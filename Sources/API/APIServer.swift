import Checkout
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Telemetry
import Tracing

/// The HTTP server in front of a checkout: HTTP in, JSON out, no rules of its own.
public struct APIServer: Service {
  public struct Configuration: Sendable {
    /// The name or address to listen on.
    public var host: String
    /// 0 lets the system choose.
    public var port: Int
    /// Checks payment events. Nil takes unsigned ones, for local use.
    public var webhookVerifier: WebhookVerifier?
    /// Opens the admin calls. Nil keeps them closed.
    public var adminToken: String?
    /// Larger request bodies are refused.
    public var maximumBodyBytes: Int
    /// A request that takes longer to arrive, from its first byte to its last, is refused.
    public var requestTimeout: Duration
    /// A connection without a request for this long is closed.
    public var idleTimeout: Duration
    /// Where to record requests, and what `GET /metrics` shows. Nil does neither.
    public var metrics: MetricsRegistry?
    /// Records a span for each request. Nil records none.
    public var tracer: (any Tracer)?

    /// Streams of stock at the same time; others are refused.
    public var maximumStreams: Int
    var streamLimits = StockStream.Limits()

    public init(
      host: String = "127.0.0.1", port: Int = 8080, webhookVerifier: WebhookVerifier?, adminToken: String?,
      maximumBodyBytes: Int = 16 * 1024, requestTimeout: Duration = .seconds(10), idleTimeout: Duration = .seconds(60),
      maximumStreams: Int = 10_000
    ) {
      self.host = host
      self.port = port
      self.webhookVerifier = webhookVerifier
      self.adminToken = adminToken
      self.maximumBodyBytes = maximumBodyBytes
      self.requestTimeout = requestTimeout
      self.idleTimeout = idleTimeout
      self.maximumStreams = maximumStreams
    }
  }

  /// Connections that wait to be accepted. A sale's buyers all connect in the same second.
  private static let backlog = 4096

  let streams: StockStreams
  private let application: Application<RouterResponder<AppContext>>

  /// - Parameter onListening: called with the port once connections are accepted.
  public init(
    checkout: Checkout, configuration: Configuration, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
  ) {
    let streams = StockStreams(
      checkout: checkout, maximumCount: configuration.maximumStreams, limits: configuration.streamLimits)
    self.streams = streams
    let fastRoutes = FastRoutes(
      routes: Self.fastRoutes(checkout: checkout, configuration: configuration),
      metrics: configuration.metrics.map { RequestMetrics(in: $0) },
      spans: configuration.tracer.map { RequestSpans(tracer: $0) }, logger: logger)
    let router = Self.makeRouter(
      checkout: checkout, configuration: configuration, streams: streams, fastRoutes: fastRoutes)
    let limits = RequestGate.Limits(
      maximumBodyBytes: configuration.maximumBodyBytes, requestTimeout: TimeAmount(configuration.requestTimeout),
      idleTimeout: TimeAmount(configuration.idleTimeout))
    application = Application(
      responder: router.buildResponder(),
      server: HTTPServerBuilder { responder in
        HTTPConnections(limits: limits, routes: fastRoutes, responder: responder)
      },
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), backlog: Self.backlog),
      services: [streams],
      onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
      logger: logger)
  }

  /// Serves until graceful shutdown, and then until the requests under way are answered. Streams end at once.
  ///
  /// - Throws: when it cannot listen.
  public func run() async throws {
    try await withGracefulShutdownHandler {
      try await application.run()
    } onGracefulShutdown: {
      streams.end()
    }
  }
}
