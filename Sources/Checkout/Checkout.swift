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
    /// Where jobs listen to be woken. Differs from the pool's database behind a pooler that drops LISTEN.
    public var listener: ConnectionConfiguration

    public init(listener: ConnectionConfiguration) {
      self.listener = listener
    }
  }

  private let database: Pool
  private let jobs: JobRunner
  private let stockFeed: StockFeed
  private let readProducts: Batcher<ReadProducts>
  private let reserveHolds: Batcher<AnnouncingStock<ReserveHold>>
  private let releaseHolds: Batcher<AnnouncingStock<ReleaseHold>>
  private let readHolds: Batcher<ReadHold>
  private let placeOrders: Batcher<AnnouncingStock<PlaceOrder>>
  private let readOrders: Batcher<ReadOrder>
  private let applyPaymentEvents: Batcher<AnnouncingStock<ApplyPaymentEvent>>

  /// - Parameter database: closed when `run` ends.
  public init(database: Pool, configuration: Configuration, logger: Logger) {
    self.database = database
    let stockFeed = StockFeed(database: database, listener: configuration.listener, logger: logger)
    self.stockFeed = stockFeed
    let jobs = JobRunner(database: database, listener: configuration.listener, logger: logger) {
      stockFeed.announce(nil)
    }
    self.jobs = jobs
    readProducts = Batcher(ReadProducts(database: database))
    reserveHolds = Batcher(
      AnnouncingStock(
        ReserveHold(database: database, jobs: jobs, timeToLive: configuration.holdTimeToLive), to: stockFeed
      ) { if case .held = $0 { true } else { false } })
    releaseHolds = Batcher(
      AnnouncingStock(ReleaseHold(database: database), to: stockFeed) { $0?.status == .released })
    readHolds = Batcher(ReadHold(database: database))
    placeOrders = Batcher(
      AnnouncingStock(
        PlaceOrder(database: database, jobs: jobs, timeToLive: configuration.orderTimeToLive), to: stockFeed
      ) { outcome in
        // A failed payment was there before the order.
        if case .placed(let order) = outcome { order.status == .cancelled } else { false }
      })
    readOrders = Batcher(ReadOrder(database: database))
    applyPaymentEvents = Batcher(
      AnnouncingStock(ApplyPaymentEvent(database: database), to: stockFeed) { outcome in
        switch outcome {
        case .settled(.applied, orderStatus: .cancelled, isReplay: false), .settled(.reacquired, _, isReplay: false):
          true
        default: false
        }
      })
  }

  /// Answers calls until graceful shutdown, finishes those that were accepted, then closes the database.
  public func run() async throws {
    let services: [any Service] = [
      readProducts, reserveHolds, releaseHolds, readHolds, placeOrders, readOrders, applyPaymentEvents, jobs,
      stockFeed,
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

  /// Waits for changes of a product's stock, made by whichever server.
  public func watchStock(of productID: Int32) -> StockWatch {
    stockFeed.watch(productID)
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

  /// Whether the database answers and has the schema that this program needs.
  public func isReady() async -> Bool {
    (try? await SchemaStatus.read(from: database).isCurrent) ?? false
  }
}
