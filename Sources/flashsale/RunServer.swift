import API
import Checkout
@preconcurrency import Glibc
import Logging
import Postgres
import ServiceLifecycle
import UnixSignals

/// Serves until SIGTERM, SIGINT or SIGHUP: the one place where the parts of a server are wired together.
///
/// It listens when `prepare` has returned, so that a balancer never finds a server that is not ready. When that takes long,
/// it listens before: `GET /health/live` then tells that the process is alive, and calls that need the database are 503.
///
/// - Parameters:
///   - allowsUnsignedWebhooks: whether payment events may come unsigned when there is no secret.
///   - isForLoopbackNames: whether requests have to name this machine as their host.
///   - prepare: makes sure of the database's schema. It is run again while the database cannot be reached.
///   - onServing: called with the server's address once calls are answered.
func runServer(
  _ settings: Settings, allowsUnsignedWebhooks: Bool, isForLoopbackNames: Bool = false, logger: Logger,
  prepare: @escaping @Sendable () async throws -> Void, onServing: @escaping @Sendable (_ url: String) -> Void
) async throws {
  let observation = try Observation(settings, logger: logger)
  var configuration = try settings.server(allowsUnsigned: allowsUnsignedWebhooks)
  configuration.isForLoopbackNames = isForLoopbackNames
  configuration.metrics = observation.metrics
  configuration.tracer = observation.tracer
  let descriptors = raiseDescriptorLimit(to: configuration.maximumStreams + otherDescriptors)
  configuration.maximumConnections = max(1, descriptors - ownDescriptors)
  if configuration.webhookVerifier == nil, !isLoopback(configuration.host) {
    logger.warning(
      "payment events are taken unsigned, from anybody who reaches this address: set WEBHOOK_SECRETS",
      metadata: ["host": "\(configuration.host)"])
  }
  var checkoutConfiguration = try settings.checkout()
  checkoutConfiguration.metrics = observation.checkout
  checkoutConfiguration.tracer = observation.tracer
  let database = Pool(
    try settings.database(), size: try settings.databaseConnections(), isOpen: false,
    onStatement: observation.onStatement, onRefusal: LockTimeoutLog(logger).note,
    onNamesLost: {
      logger.warning(
        """
        prepared statements are lost on the way to the database, so none are used from now on; behind a pooler set \
        DB_NAMED_STATEMENTS=false
        """)
    }
  ) { problem in
    if let problem {
      logger.warning("the database is away; calls are answered 503 until it is back", metadata: ["error": "\(problem)"])
    } else {
      logger.notice("the database is back")
    }
  }
  let checkout = Checkout(database: database, configuration: checkoutConfiguration, logger: logger)
  let (addresses, addressSink) = AsyncStream.makeStream(of: String.self)
  let server = APIServer(checkout: checkout, configuration: configuration, logger: logger) {
    [host = configuration.host] port in
    let url = "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    logger.info("listening", metadata: ["address": "\(url)"])
    addressSink.yield(url)
  }
  let (preparing, prepared) = AsyncStream.makeStream(of: Never.self)
  let preparation = Preparation(logger: logger, prepare: prepare) {
    checkout.open()
    prepared.finish()
    for await url in addresses { return onServing(url) }
  }
  // Shut down from the last to the first: the server answers what it accepted, for which it needs the checkout; what
  // both did is sent last.
  let services: [any Service] =
    (observation.exporter.map { [$0] } ?? []) + [checkout, LateService(service: server, start: preparing)]
  var group = ServiceGroupConfiguration(
    // The preparation is first, so that the server stops listening before a long migration has ended.
    services: ([preparation] + services).map { .init(service: $0) },
    gracefulShutdownSignals: shutdownSignals(), logger: logger)
  group.maximumGracefulShutdownDuration = configuration.shutdownDelay + (try settings.shutdownTimeout())
  try await ServiceGroup(configuration: group).run()
  logger.notice("stopped")
}

/// Runs a service once a stream has ended, or at the latest after a time.
private struct LateService: Service, CustomStringConvertible {
  private static let patience: Duration = .seconds(2)

  let service: APIServer
  let start: AsyncStream<Never>

  var description: String { service.description }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withTaskGroup { group in
        group.addTask { for await _ in start {} }
        group.addTask { try? await Task.sleep(for: Self.patience) }
        await group.next()
        group.cancelAll()
      }
    }
    // The preparation has failed.
    if Task.isCancelled { return }
    try await service.run()
  }
}

/// SIGHUP ends a server like the other two, since a terminal sends it when it is closed. Whoever starts a server with
/// `nohup` has it ignored, and it stays so.
private func shutdownSignals() -> [UnixSignal] {
  var hangup = sigaction()
  sigaction(SIGHUP, nil, &hangup)
  let isIgnored =
    unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  return [.sigterm, .sigint] + (isIgnored ? [] : [.sighup])
}

/// Whether only this machine reaches the address.
private func isLoopback(_ host: String) -> Bool {
  host == "localhost" || host == "::1" || host.wholeMatch(of: /127(\.\d{1,3}){3}/) != nil
}

/// Open files and connections beside those of streams: buyers, most of all.
private let otherDescriptors = 16_384

/// Kept from clients: for connections to the database, of which lost ones are replaced, and to collectors, and for event
/// loops.
private let ownDescriptors = Pool.maximumSize + 100
