import Logging
import Postgres
import ServiceLifecycle
import Telemetry
import Tracing

/// The checkout of flash sales: everything that clients, payment providers and operators can ask of it.
///
/// Any number of these may work on one database; none keeps anything that another needs. It does its work only while
/// `run` does, so it belongs into a `ServiceGroup`, before what calls it.
public struct Checkout: Service {
  public struct Configuration: Sendable {
    /// How long a hold keeps its units. Above zero.
    public var holdTimeToLive: Duration = .seconds(120)
    /// How long an order waits for its payment. Above zero.
    public var orderTimeToLive: Duration = .seconds(900)
    /// Where jobs listen to be woken. Differs from the pool's database behind a pooler that drops LISTEN.
    public var listener: ConnectionConfiguration
    /// Where to record what happens; nil records nothing.
    public var metrics: CheckoutMetrics?
    /// Records a span for each batch; nil records none.
    public var tracer: (any Tracer)?

    public init(listener: ConnectionConfiguration) {
      self.listener = listener
    }
  }

  private let database: Pool
  private let metrics: CheckoutMetrics?
  private let jobs: JobRunner
  private let readProducts: Batcher<ReadProducts>
  private let reserveHolds: Batcher<ReserveHold>
  private let releaseHolds: Batcher<ReleaseHold>
  private let readHolds: Batcher<ReadHold>
  private let placeOrders: Batcher<PlaceOrder>
  private let readOrders: Batcher<ReadOrder>
  private let applyPaymentEvents: Batcher<ApplyPaymentEvent>
  private let readGauges: Batcher<ReadGauges>

  /// - Parameter database: closed when `run` ends.
  public init(database: Pool, configuration: Configuration, logger: Logger) {
    self.database = database
    metrics = configuration.metrics
    let jobs = JobRunner(
      database: database, listener: configuration.listener, metrics: configuration.metrics, logger: logger)
    self.jobs = jobs
    func observer(_ useCase: String) -> BatchObserver {
      BatchObserver(useCase, metrics: configuration.metrics, tracer: configuration.tracer)
    }
    readProducts = Batcher(ReadProducts(database: database), observer: observer("read_products"))
    reserveHolds = Batcher(
      ReserveHold(database: database, jobs: jobs, timeToLive: configuration.holdTimeToLive),
      observer: observer("reserve_holds"))
    releaseHolds = Batcher(ReleaseHold(database: database), observer: observer("release_holds"))
    readHolds = Batcher(ReadHold(database: database), observer: observer("read_holds"))
    placeOrders = Batcher(
      PlaceOrder(database: database, jobs: jobs, timeToLive: configuration.orderTimeToLive),
      observer: observer("place_orders"))
    readOrders = Batcher(ReadOrder(database: database), observer: observer("read_orders"))
    applyPaymentEvents = Batcher(
      ApplyPaymentEvent(database: database), observer: observer("apply_payment_events"))
    readGauges = Batcher(ReadGauges(database: database))
  }

  /// Answers calls until graceful shutdown, finishes those that were accepted, then closes the database.
  public func run() async throws {
    let services: [any Service] = [
      readProducts, reserveHolds, releaseHolds, readHolds, placeOrders, readOrders, applyPaymentEvents,
      readGauges, jobs,
    ]
    try await withThrowingDiscardingTaskGroup { group in
      for service in services { group.addTask { try await service.run() } }
    }
    await database.close()
  }

  // All calls below throw `PostgresError` when the database fails them and `CheckoutError` during shutdown.

  // MARK: Products

  /// Every product, by id.
  public func products() async throws -> [Product] {
    try await readProducts(.all)
  }

  /// Nil for an unknown product.
  public func product(_ id: Int32) async throws -> Product? {
    try await readProducts(.one(id)).first
  }

  public func createProduct(_ product: CreateProduct) async throws -> Product {
    let id = try await database.transact(product)[0]
    return try await readProducts(.one(id))[0]
  }

  // MARK: Holds

  public func reserveHold(productID: Int32, quantity: Int32) async throws -> ReserveHold.Outcome {
    try await counting(metrics?.holds) {
      try await reserveHolds(ReserveHold.Request(productID: productID, quantity: quantity))
    }
  }

  /// Buyers of a product who wait for the batch under way to end.
  func waitingReservations(of productID: Int32) -> Int {
    reserveHolds.waitingCount(in: productID)
  }

  /// Nil for an unknown hold.
  public func hold(_ id: ReservationID) async throws -> Hold? {
    try await readHolds(id)
  }

  /// The hold afterwards, whose status tells whether it was released. Nil for an unknown one.
  public func releaseHold(_ id: ReservationID) async throws -> Hold? {
    try await releaseHolds(id)
  }

  // MARK: Orders

  public func placeOrder(holdID: ReservationID) async throws -> PlaceOrder.Outcome {
    try await counting(metrics?.orders) { try await placeOrders(holdID) }
  }

  /// Nil for an unknown order.
  public func order(_ id: ReservationID) async throws -> Order? {
    try await readOrders(id)
  }

  // MARK: Payments

  public func applyPaymentEvent(_ event: PaymentEvent) async throws -> ApplyPaymentEvent.Outcome {
    try await counting(metrics?.paymentEvents) { try await applyPaymentEvents(event) }
  }

  /// The newest payment events.
  public func paymentEvents() async throws -> [RecordedPaymentEvent] {
    try await database.execute(ListPaymentEvents())
  }

  // MARK: Operations

  /// Every invariant, checked in one snapshot.
  public func audit() async throws -> Audit {
    try await Audit.run(on: database)
  }

  /// Whether the database answers and has the schema that this program needs.
  public func isReady() async -> Bool {
    (try? await SchemaStatus.read(from: database).isCurrent) ?? false
  }

  /// How things stand. When the database does not answer, what can be told without it.
  public func gauges() async -> [Gauge] {
    let pool = database.usage
    let here = [
      Gauge(.poolSize, Double(pool.size)), Gauge(.poolInUse, Double(pool.inUse)),
      Gauge(.poolWaiting, Double(pool.waiting)),
    ]
    guard let read = await readGaugesInTime() else { return here + [Gauge(.databaseUp, 0)] }
    return here + [Gauge(.databaseUp, 1)] + read
  }

  /// The longest time that whoever asks for gauges waits for the database: well below the time that monitors allow.
  private static let gaugesTimeLimit: Duration = .seconds(2)

  /// Nil when the database does not answer. Whoever waits can go before a batch ends, so the answer races against time.
  private func readGaugesInTime() async -> [Gauge]? {
    let (answers, answer) = AsyncStream.makeStream(of: [Gauge]?.self, bufferingPolicy: .bufferingOldest(1))
    Task { answer.yield(try? await readGauges(.all)) }
    let limit = Task {
      try? await Task.sleep(for: Self.gaugesTimeLimit)
      answer.yield(nil)
    }
    defer { limit.cancel() }
    for await first in answers { return first }
    return nil
  }

  private func counting<Outcome: CountedOutcome>(
    _ counter: CounterByLabel?, _ body: () async throws -> Outcome
  ) async throws -> Outcome {
    guard let counter else { return try await body() }
    do {
      let outcome = try await body()
      counter.increment(outcome.word)
      return outcome
    } catch {
      counter.increment(failedOutcome)
      throw error
    }
  }
}
