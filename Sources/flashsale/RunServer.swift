import API
import Checkout
import EventWebhooks
@preconcurrency import Glibc
import Logging
import Postgres
import ServiceLifecycle
import UnixSignals

/// Wires the parts of a server together, and serves until SIGTERM, SIGINT or SIGHUP.
///
/// The server listens after `prepare` has returned, so a load balancer finds it ready. If that takes more than 2 s, the
/// server listens earlier. Then `GET /health/live` returns 200, and requests that need the database get 503.
///
/// - Parameters:
///   - allowsUnsignedWebhooks: accept unsigned payment events if there is no secret.
///   - isDemo: the server is a demo; see `Settings.server`.
///   - prepare: verifies or updates the schema. It is repeated while the database cannot be reached.
///   - onServing: called with the server's URL when the server is ready.
func runServer(
  _ settings: Settings, allowsUnsignedWebhooks: Bool, isDemo: Bool = false, logger: Logger,
  prepare: @escaping @Sendable () async throws -> Void, onServing: @escaping @Sendable (_ url: String) -> Void
) async throws {
  let observation = try Observation(settings, logger: logger)
  var configuration = try settings.server(allowsUnsigned: allowsUnsignedWebhooks, isDemo: isDemo)
  configuration.metrics = observation.metrics
  configuration.tracer = observation.tracer
  let descriptors = raiseDescriptorLimit(to: configuration.maximumStreams + requestDescriptors)
  configuration.maximumConnections = max(1, descriptors - reservedDescriptors)
  if configuration.webhookVerifier == nil, !isLoopback(configuration.host) {
    logger.warning(
      "payment events are accepted unsigned, and other machines can reach this address: set WEBHOOK_SECRETS",
      metadata: ["host": "\(configuration.host)"])
  }
  if configuration.rateLimitPerClient != nil, configuration.trustedProxies.isEmpty {
    logger.warning(
      "RATE_LIMIT_PER_CLIENT without TRUSTED_PROXIES: behind a proxy, all buyers without a token share one limit")
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
        prepared statements are lost on the way to the database, so they are no longer used; behind a pooler set \
        DB_NAMED_STATEMENTS=false
        """)
    }
  ) { problem in
    if let problem {
      logger.warning("the database is away; requests get 503 until it is back", metadata: ["error": "\(problem)"])
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
  let (opening, opened) = AsyncStream.makeStream(of: Never.self)
  let preparation = Preparation(logger: logger, prepare: prepare) {
    checkout.open()
    prepared.finish()
    opened.finish()
    for await url in addresses { return onServing(url) }
  }
  // Services shut down from the last to the first. The server responds to accepted requests, and needs the checkout for
  // that. The exporter sends the spans of both at the end.
  // The deliverer ends after the server, and shares the time of the shutdown with it.
  var services: [any Service] = [checkout]
  if let exporter = observation.exporter { services.insert(exporter, at: 0) }
  if let deliverer = try eventDeliverer(settings, isDemo: isDemo, checkout, observation, logger) {
    services.append(DelayedService(service: deliverer, start: opening, maximumDelay: nil))
  }
  services.append(DelayedService(service: server, start: preparing, maximumDelay: .seconds(2)))
  var group = ServiceGroupConfiguration(
    // The preparation shuts down last. So the server stops listening without waiting for a long migration.
    services: ([preparation] + services).map { .init(service: $0) },
    gracefulShutdownSignals: shutdownSignals(), logger: logger)
  group.maximumGracefulShutdownDuration = configuration.shutdownDelay + (try settings.shutdownTimeout())
  try await ServiceGroup(configuration: group).run()
  logger.notice("stopped")
}

/// The deliverer of events, unless it is switched off.
private func eventDeliverer(
  _ settings: Settings, isDemo: Bool, _ checkout: Checkout, _ observation: Observation, _ logger: Logger
) throws -> EventDeliverer? {
  guard try settings.deliversEvents() else { return nil }
  var configuration = EventDeliverer.Configuration(policy: try settings.endpointPolicy(isDemo: isDemo))
  configuration.metrics = observation.metrics
  configuration.perSecond = try settings.eventsPerSecond()
  // The rest of the time is for the responses to buyers, which end first.
  configuration.drainTime = try settings.shutdownTimeout() / 2
  return EventDeliverer(checkout: checkout, configuration: configuration, logger: logger)
}

/// Runs a service after a stream has ended, or after a maximum delay.
private struct DelayedService: Service, CustomStringConvertible {
  let service: any Service & CustomStringConvertible
  let start: AsyncStream<Never>
  /// Nil waits for the end of the stream.
  let maximumDelay: Duration?

  var description: String { service.description }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withTaskGroup { group in
        group.addTask { for await _ in start {} }
        if let maximumDelay { group.addTask { try? await Task.sleep(for: maximumDelay) } }
        await group.next()
        group.cancelAll()
      }
    }
    // Cancelled: the preparation has failed.
    if Task.isCancelled { return }
    try await service.run()
  }
}

/// The signals that shut down the server.
///
/// SIGHUP is one of them, because a closing terminal sends it. It stays ignored if `nohup` started the server.
private func shutdownSignals() -> [UnixSignal] {
  var hangup = sigaction()
  sigaction(SIGHUP, nil, &hangup)
  let isIgnored =
    unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  return [.sigterm, .sigint] + (isIgnored ? [] : [.sighup])
}

/// Whether only this machine can reach the address.
func isLoopback(_ host: String) -> Bool {
  host == "localhost" || host == "::1" || host.wholeMatch(of: /127(\.\d{1,3}){3}/) != nil
}

/// Descriptors for connections without a stream, mostly buyers' connections.
private let requestDescriptors = 16_384

/// Descriptors that client connections cannot use: connections to the database and to collectors, and event loops.
private let reservedDescriptors = Pool.maximumSize + 100
