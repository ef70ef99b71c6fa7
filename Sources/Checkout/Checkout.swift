import Logging
import Postgres
import ServiceLifecycle

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
    /// Requests that wait for a batch, or for the outcome of theirs, at once; the next are refused. At least 1.
    public var maximumInFlight = 4096
    /// How long a request waits for its batch to start before it is refused. Above zero.
    public var queueTimeout: Duration = .seconds(1)
    /// Where jobs listen to be woken. Differs from the pool's database behind a pooler that drops LISTEN.
    public var listener: ConnectionConfiguration

    public init(listener: ConnectionConfiguration) {
      self.listener = listener
    }
  }

  private let database: Pool
  private let jobs: JobRunner
  private let readProducts: Batcher<ReadProducts>
  private let reserveHolds: Batcher<ReserveHold>
  private let releaseHolds: Batcher<ReleaseHold>
  private let readHolds: Batcher<ReadHold>
  private let placeOrders: Batcher<PlaceOrder>
  private let readOrders: Batcher<ReadOrder>
  private let applyPaymentEvents: Batcher<ApplyPaymentEvent>
  private let admission: Admission
  private let queueTimeout: Duration

  /// - Parameter database: closed when `run` ends.
  public init(database: Pool, configuration: Configuration, logger: Logger) {
    self.database = database
    let jobs = JobRunner(database: database, listener: configuration.listener, logger: logger)
    self.jobs = jobs
    queueTimeout = configuration.queueTimeout
    admission = Admission(limit: configuration.maximumInFlight)
    readProducts = Batcher(ReadProducts(database: database), admission: admission)
    reserveHolds = Batcher(
      ReserveHold(database: database, jobs: jobs, timeToLive: configuration.holdTimeToLive), admission: admission)
    releaseHolds = Batcher(ReleaseHold(database: database), admission: admission)
    readHolds = Batcher(ReadHold(database: database), admission: admission)
    placeOrders = Batcher(
      PlaceOrder(database: database, jobs: jobs, timeToLive: configuration.orderTimeToLive), admission: admission)
    readOrders = Batcher(ReadOrder(database: database), admission: admission)
    applyPaymentEvents = Batcher(ApplyPaymentEvent(database: database), admission: admission)
  }

  /// Answers calls until graceful shutdown, finishes those that were accepted, then closes the database.
  public func run() async throws {
    let queues: [any Service & WaitingQueue] = [
      readProducts, reserveHolds, releaseHolds, readHolds, placeOrders, readOrders, applyPaymentEvents,
    ]
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { await QueueSweeper(queues: queues, timeout: queueTimeout).run() }
      try await withThrowingDiscardingTaskGroup { group in
        for service in queues { group.addTask { try await service.run() } }
        group.addTask { await jobs.run() }
      }
      // Somebody may wait until the last batch has started.
      group.cancelAll()
    }
    await database.close()
  }

  // All calls below throw `PostgresError` when the database fails them and `CheckoutError` during
  // shutdown and under too much load.

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
    try await reserveHolds(ReserveHold.Request(productID: productID, quantity: quantity))
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
    try await placeOrders(holdID)
  }

  /// Nil for an unknown order.
  public func order(_ id: ReservationID) async throws -> Order? {
    try await readOrders(id)
  }

  // MARK: Payments

  public func applyPaymentEvent(_ event: PaymentEvent) async throws -> ApplyPaymentEvent.Outcome {
    try await applyPaymentEvents(event)
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

  /// Whether the database answers and has the schema that this program needs. Not while too many wait for it already:
  /// anybody may ask this, and each one who does needs a connection.
  public func isReady() async -> Bool {
    guard admission.admit() else { return false }
    defer { admission.leave() }
    return (try? await SchemaStatus.read(from: database).isCurrent) ?? false
  }
}
