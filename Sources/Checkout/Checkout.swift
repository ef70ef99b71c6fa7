import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle
import Telemetry
import Tracing

/// The checkout of flash sales: everything that clients, payment providers and operators can ask of it.
///
/// Any number of these may work on one database; none keeps anything that another needs. Jobs are done, waits are bounded
/// and changes are told only while `run` does, so it belongs into a `ServiceGroup`, before what calls it.
package struct Checkout: Service, CustomStringConvertible {
  package struct Configuration: Sendable {
    /// How long a hold keeps its units. Above zero.
    package var holdTimeToLive: Duration = .seconds(120)
    /// How long an order waits for its payment. Above zero.
    package var orderTimeToLive: Duration = .seconds(900)
    package var retention = Retention()
    /// Requests that wait for a batch, or for the outcome of theirs, at once; the next are refused. At least 1.
    package var maximumInFlight = 4096
    /// How long a request waits for its batch to start before it is refused. Above zero.
    package var queueTimeout: Duration = .seconds(1)
    /// Where jobs and the stock feed listen. Differs from the pool's database behind a pooler that drops LISTEN.
    package var listener: ConnectionConfiguration
    /// Where to record what happens; nil records nothing.
    package var metrics: CheckoutMetrics?
    /// Records a span for each batch; nil records none.
    package var tracer: (any Tracer)?

    package init(listener: ConnectionConfiguration) {
      self.listener = listener
    }
  }

  private let database: Pool
  private let metrics: CheckoutMetrics?
  private let useCases: UseCases
  private let jobs: JobRunner
  private let stockFeed: StockFeed
  private let knownProducts: KnownProducts
  private let queueTimeout: Duration
  private let readinessLog: ReadinessLog
  /// Ends when the database may be used.
  private let opening = AsyncStream.makeStream(of: Void.self)

  /// Short: a group of services prints it.
  package var description: String { "Checkout" }

  /// - Parameter database: closed when `run` ends. One that is not open yet is opened by `open`.
  package init(database: Pool, configuration: Configuration, logger: Logger) {
    self.database = database
    metrics = configuration.metrics
    queueTimeout = configuration.queueTimeout
    stockFeed = StockFeed(database: database, listener: configuration.listener, logger: logger)
    jobs = JobRunner(
      database: database, listener: configuration.listener, retention: configuration.retention,
      metrics: configuration.metrics, logger: logger, onStockChange: stockFeed.announce)
    useCases = UseCases(
      database: database, configuration: configuration, jobs: jobs, onStockChange: stockFeed.announce)
    knownProducts = KnownProducts(read: useCases.readProducts)
    readinessLog = ReadinessLog(logger)
    if database.isOpen { opening.continuation.finish() }
  }

  /// Lets calls through to the database, and jobs run: to be called when the schema is what this program needs.
  package func open() {
    database.open()
    opening.continuation.finish()
  }

  /// Answers calls until graceful shutdown, finishes those that were accepted, then closes the database.
  package func run() async throws {
    let queues = useCases.all
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { await QueueSweeper(queues: queues, timeout: queueTimeout).run() }
      try await withThrowingDiscardingTaskGroup { group in
        for service in queues { group.addTask { try await service.run() } }
        group.addTask {
          await cancelWhenGracefulShutdown { for await _ in opening.stream {} }
          await withDiscardingTaskGroup { group in
            group.addTask { await jobs.run() }
            group.addTask { await stockFeed.run() }
          }
        }
      }
      // Somebody may wait until the last batch has started.
      group.cancelAll()
    }
    await database.close()
  }

  // All calls below throw `CheckoutError`. Those that a crowd makes exist with a completion too, which spares them a task.

  // MARK: Products

  /// Every product, by id.
  package func products() async throws -> [Product] {
    try await useCases.readProducts(.all)
  }

  /// Nil for an unknown product.
  package func product(_ id: Int32) async throws -> Product? {
    try await awaitCompletion { product(id, completion: $0) }
  }

  /// Nil for an unknown product.
  package func product(_ id: Int32, completion: @escaping Completion<Product?>) {
    useCases.readProducts.submit(.one(id)) { completion($0.map { $0.first }) }
  }

  /// Waits for changes of a product's stock, made by whichever server.
  package func watchStock(of productID: Int32) -> StockWatch {
    stockFeed.watch(productID)
  }

  package enum Creation: Sendable {
    /// - Parameter isReplay: the same call created it before, under the same key.
    case created(Product, isReplay: Bool)
    /// Another call came under the same key before.
    case keyReused
  }

  package func createProduct(_ product: CreateProduct) async throws -> Creation {
    var product = product
    product.idempotencyKey = product.idempotencyKey ?? Self.newKey()
    let outcome = try await call { try await $0.transactOnce(product)[0] }
    switch outcome {
    case .created(let id, let isReplay): return .created(try await changedProduct(id), isReplay: isReplay)
    case .keyReused: return .keyReused
    }
  }

  /// A key for a call that has none, so that it can be made again when its answer was lost.
  private static func newKey() -> String { "server:" + UUID().uuidString }

  /// A product that was changed, as it stands.
  ///
  /// - Throws: `CheckoutError.outcomeUnknown` when it cannot be read, for whatever reason. Other errors say that nothing was
  ///   done, and a client that is told so makes the change once more.
  package func changedProduct(_ id: Int32) async throws -> Product {
    do {
      let product = try await useCases.readProducts(.one(id))[0]
      knownProducts.insert(id)
      return product
    } catch {
      throw CheckoutError.outcomeUnknown(reason: "\(error)")
    }
  }

  /// Whether it was done; nil for an unknown product. See `UpdateProduct`.
  package func updateProduct(_ changes: UpdateProduct) async throws -> Bool? {
    defer { stockFeed.announce(changes.productID) }
    return try await call { try await $0.transact(changes).first }
  }

  /// Nil for an unknown product.
  package func restockProduct(_ change: RestockProduct) async throws -> RestockProduct.Outcome? {
    defer { stockFeed.announce(change.productID) }
    var change = change
    change.idempotencyKey = change.idempotencyKey ?? Self.newKey()
    return try await call { try await $0.transactOnce(change).first }
  }

  // MARK: Holds

  /// See the call with a completion.
  package func reserveHold(
    productID: Int32, quantity: Int32, customerID: String? = nil, idempotencyKey: String? = nil
  ) async throws -> ReserveHold.Outcome {
    try await awaitCompletion { completion in
      reserveHold(
        productID: productID, quantity: quantity, customerID: customerID, idempotencyKey: idempotencyKey,
        completion: completion)
    }
  }

  /// - Parameters:
  ///   - quantity: at least 1.
  ///   - customerID: 1 to 255 characters; what `max_per_customer` goes by.
  ///   - idempotencyKey: 1 to 255 characters; the same request under the same key has one effect.
  package func reserveHold(
    productID: Int32, quantity: Int32, customerID: String? = nil, idempotencyKey: String? = nil,
    completion: @escaping Completion<ReserveHold.Outcome>
  ) {
    let request = ReserveHold.Request(
      productID: productID, quantity: quantity, customerID: customerID.map(VerbatimText.init),
      idempotencyKey: idempotencyKey)
    let completion = CheckoutMetrics.counting(metrics?.holds, completion)
    // Without the closure that `call` takes, which a crowd would make for every request.
    if knownProducts.contains(productID) { return useCases.reserveHolds.submit(request, completion: completion) }
    knownProducts.call(productID, absent: .productNotFound, completion: completion) { [useCases] in
      useCases.reserveHolds.submit(request, completion: $0)
    }
  }

  // Callers who wait for the batch under way of a product to end: for tests.
  func waitingReservations(of productID: Int32) -> Int { useCases.reserveHolds.waitingCount(in: productID) }
  func waitingReleases(of productID: Int32) -> Int { useCases.releaseHolds.waitingCount(in: productID) }
  func waitingOrders(of productID: Int32) -> Int { useCases.placeOrders.waitingCount(in: productID) }
  func waitingPaymentEvents(of productID: Int32) -> Int { useCases.applyPaymentEvents.waitingCount(in: productID) }

  /// Nil for an unknown hold.
  package func hold(_ id: ReservationID) async throws -> Hold? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.readHolds.submit(id, completion: $0)
      }
    }
  }

  /// The hold afterwards, whose status tells whether it was released. Nil for an unknown one.
  package func releaseHold(_ id: ReservationID) async throws -> Hold? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.releaseHolds.submit(id, completion: $0)
      }
    }
  }

  // MARK: Orders

  /// - Parameter idempotencyKey: as for holds.
  package func placeOrder(
    holdID: ReservationID, idempotencyKey: String? = nil
  ) async throws -> PlaceOrder.Outcome {
    try await awaitCompletion { placeOrder(holdID: holdID, idempotencyKey: idempotencyKey, completion: $0) }
  }

  /// - Parameter idempotencyKey: as for holds.
  package func placeOrder(
    holdID: ReservationID, idempotencyKey: String? = nil, completion: @escaping Completion<PlaceOrder.Outcome>
  ) {
    let request = PlaceOrder.Request(holdID: holdID, idempotencyKey: idempotencyKey)
    knownProducts.call(
      holdID.productID, absent: .holdNotFound, completion: CheckoutMetrics.counting(metrics?.orders, completion)
    ) { [useCases] in useCases.placeOrders.submit(request, completion: $0) }
  }

  /// Nil for an unknown order.
  package func order(_ id: ReservationID) async throws -> Order? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.readOrders.submit(id, completion: $0)
      }
    }
  }

  // MARK: Payments

  package func applyPaymentEvent(_ event: PaymentEvent) async throws -> ApplyPaymentEvent.Outcome {
    try await awaitCompletion { applyPaymentEvent(event, completion: $0) }
  }

  package func applyPaymentEvent(_ event: PaymentEvent, completion: @escaping Completion<ApplyPaymentEvent.Outcome>) {
    useCases.applyPaymentEvents.submit(event, completion: CheckoutMetrics.counting(metrics?.paymentEvents, completion))
  }

  /// Payment events, newest first.
  ///
  /// - Parameters:
  ///   - verdict: only those with it; nil for all.
  ///   - orderID: only those of this order; nil for all.
  ///   - cursor: where the page begins; nil for the newest.
  package func paymentEvents(
    verdict: PaymentEvent.Verdict? = nil, orderID: ReservationID? = nil, from cursor: PaymentEventPage.Cursor? = nil
  ) async throws -> PaymentEventPage {
    try await call(isRead: true) {
      try await ListPaymentEvents(verdict: verdict, orderID: orderID, cursor: cursor).page(from: $0)
    }
  }

  /// Notes that the money of a payment event was given back outside. The event then has `settledAt`, unless its money
  /// was not due. A parked success is then never applied. Nil for an unknown key.
  package func settleRefund(idempotencyKey: String) async throws -> RecordedPaymentEvent? {
    try await call { try await $0.transact(SettleRefund(idempotencyKey: idempotencyKey)).first }
  }

  // MARK: Operations

  /// Every invariant, checked in one snapshot.
  package func audit() async throws -> Audit {
    try await call(isRead: true) { try await Audit.run(on: $0) }
  }

  /// Whether a hold could be made now. Says in the log when that changes.
  package func readiness() async -> Readiness {
    let readiness =
      await withTimeLimit(Self.monitoringTimeLimit) {
        do {
          return try await useCases.checkReadiness(.whole)
        } catch {
          return .notReady(Readiness.Reason(error))
        }
      } ?? .notReady(.noAnswer)
    readinessLog.note(readiness)
    return readiness
  }

  /// How things stand. When the database does not answer, what can be told without it.
  package func gauges() async -> [Gauge] {
    let pool = database.usage
    let here = [
      Gauge(.poolSize, Double(pool.size)), Gauge(.poolInUse, Double(pool.inUse)),
      Gauge(.poolWaiting, Double(pool.waiting)),
    ]
    guard let read = await withTimeLimit(Self.monitoringTimeLimit, { try? await useCases.readGauges(.all) }) ?? nil
    else {
      return here + [Gauge(.databaseUp, 0)]
    }
    return here + [Gauge(.databaseUp, 1)] + read
  }

  /// How long monitors wait for the database: well below the time that they allow for a response.
  private static let monitoringTimeLimit: Duration = .seconds(2)

  /// Runs a call of its own on the database, outside of any batch.
  private func call<Result: Sendable>(
    isRead: Bool = false, _ body: (Pool) async throws -> Result
  ) async throws -> Result {
    do {
      return try await body(database)
    } catch {
      throw CheckoutError.translating(error, isRead: isRead)
    }
  }
}
