import API
import Checkout
import Logging
import Postgres
import ServiceLifecycle

/// Serves until SIGTERM or SIGINT: the one place where the parts of a server are wired together.
///
/// - Parameters:
///   - allowsUnsignedWebhooks: whether payment events may come unsigned when there is no secret.
///   - onListening: called with the host and port once connections are accepted.
func runServer(
  _ settings: Settings, allowsUnsignedWebhooks: Bool, logger: Logger,
  onListening: @escaping @Sendable (_ host: String, _ port: Int) -> Void
) async throws {
  let observation = try Observation(settings, logger: logger)
  var configuration = try settings.server(allowsUnsigned: allowsUnsignedWebhooks)
  configuration.metrics = observation.metrics
  configuration.tracer = observation.tracer
  let descriptors = raiseDescriptorLimit(to: configuration.maximumStreams + otherDescriptors)
  configuration.maximumConnections = max(1, descriptors - ownDescriptors)
  var checkoutConfiguration = try settings.checkout()
  checkoutConfiguration.metrics = observation.checkout
  checkoutConfiguration.tracer = observation.tracer
  let database = Pool(
    try settings.database(), size: try settings.databaseConnections(), onStatement: observation.onStatement,
    onRefusal: LockTimeoutLog(logger).note
  ) {
    logger.warning(
      """
      prepared statements are lost on the way to the database, so none are used from now on; behind a pooler set \
      DB_NAMED_STATEMENTS=false
      """)
  }
  let checkout = Checkout(database: database, configuration: checkoutConfiguration, logger: logger)
  let server = APIServer(checkout: checkout, configuration: configuration, logger: logger) {
    [host = configuration.host] port in
    onListening(host, port)
  }
  // Shut down from the last to the first: the server answers what it accepted, for which it needs the checkout; what
  // both did is sent last.
  let exporters: [any Service] = observation.exporter.map { [$0] } ?? []
  var group = ServiceGroupConfiguration(
    services: exporters + [checkout, server], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
  group.maximumGracefulShutdownDuration = configuration.shutdownDelay + (try settings.shutdownTimeout())
  try await ServiceGroup(configuration: group).run()
}

/// Open files and connections beside those of streams: buyers, most of all.
private let otherDescriptors = 16_384

/// Kept from clients: for connections to the database, of which lost ones are replaced, and to collectors, and for event
/// loops.
private let ownDescriptors = Pool.maximumSize + 100
