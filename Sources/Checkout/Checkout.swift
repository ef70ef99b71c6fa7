import Logging
import Postgres
import ServiceLifecycle
import Telemetry
import Tracing

/// The checkout of flash sales: one method for each operation of clients, payment providers and operators.
///
/// Several servers may use one database, because none keeps state that another one needs. Jobs run, waits time out and
/// stock changes are announced only while `run` runs. So put the checkout into a `ServiceGroup`, before the services
/// that call it.
package struct Checkout: Service, CustomStringConvertible {
  package struct Configuration: Sendable {
    /// How long a hold keeps its units. More than zero.
    package var holdTimeToLive: Duration = .seconds(120)
    /// How long an order waits for its payment. More than zero.
    package var orderTimeToLive: Duration = .seconds(900)
    package var retention = Retention()
    /// The largest number of requests that wait for a batch or for its outcome. Others are refused. At least 1.
    package var maximumInFlight = 4096
    /// How long a request waits for its batch to start before it is refused. More than zero.
    package var queueTimeout: Duration = .seconds(1)
    /// The database for the LISTEN sessions of jobs and the stock feed. It differs from the pool's behind a pooler that
    /// does not support LISTEN.
    package var listener: ConnectionConfiguration
    /// Nil records no metrics.
    package var metrics: CheckoutMetrics?
    /// Records a span for each batch. Nil records none.
    package var tracer: (any Tracer)?

    package init(listener: ConnectionConfiguration) {
      self.listener = listener
    }
  }

  private let database: Pool
  let metrics: CheckoutMetrics?
  let useCases: UseCases
  private let jobs: JobRunner
  let stockFeed: StockFeed
  /// Rings after each commit of this server that may have written events.
  package let eventSignal = EventSignal()
  let knownProducts: KnownProducts
  private let queueTimeout: Duration
  private let readinessLog: ReadinessLog
  /// Ends when `open` is called. Jobs and the stock feed wait for it.
  private let opening = AsyncStream.makeStream(of: Void.self)

  /// A service group logs it.
  package var description: String { "Checkout" }

  /// - Parameter database: `run` closes it when it ends. If it is not open, `open` opens it.
  package init(database: Pool, configuration: Configuration, logger: Logger) {
    self.database = database
    metrics = configuration.metrics
    queueTimeout = configuration.queueTimeout
    stockFeed = StockFeed(database: database, listener: configuration.listener, logger: logger)
    let announce: @Sendable (Int32) -> Void = { [stockFeed, eventSignal] in
      stockFeed.announce($0)
      eventSignal.ring()
    }
    jobs = JobRunner(
      database: database, listener: configuration.listener, retention: configuration.retention,
      metrics: configuration.metrics, logger: logger, onStockChange: announce)
    useCases = UseCases(database: database, configuration: configuration, jobs: jobs, onStockChange: announce)
    knownProducts = KnownProducts(read: useCases.readProducts)
    readinessLog = ReadinessLog(logger)
    if database.isOpen { opening.continuation.finish() }
  }

  /// Accepts calls and starts jobs. Call it when the schema is current.
  package func open() {
    database.open()
    opening.continuation.finish()
  }

  /// Serves calls until graceful shutdown. Then finishes the accepted calls and closes the database.
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
      // The sweeper runs until all batches have ended, because callers may wait until then.
      group.cancelAll()
    }
    await database.close()
  }

  // All calls below throw `CheckoutError`. Frequent calls also have a variant with a completion, which needs no task.

  // MARK: Products

  /// All products, ordered by id.
  package func products() async throws -> [Product] {
    try await useCases.readProducts(.all)
  }

  /// As the variant with a completion.
  package func product(_ id: Int32) async throws -> Product? {
    try await awaitCompletion { product(id, completion: $0) }
  }

  /// Reads a product. Nil for an unknown id.
  package func product(_ id: Int32, completion: @escaping Completion<Product?>) {
    useCases.readProducts.submit(.one(id)) { completion($0.map { $0.first }) }
  }

  /// Watches the stock of a product for changes by any server.
  package func watchStock(of productID: Int32) -> StockWatch {
    stockFeed.watch(productID)
  }

  // MARK: Holds

  /// As the variant with a completion.
  package func reserveHold(
    productID: Int32, quantity: Int32, customerID: String? = nil, idempotencyKey: String? = nil,
    metadata: Metadata? = nil
  ) async throws -> ReserveHold.Outcome {
    try await awaitCompletion { completion in
      reserveHold(
        productID: productID, quantity: quantity, customerID: customerID, idempotencyKey: idempotencyKey,
        metadata: metadata, completion: completion)
    }
  }

  /// Places a hold.
  ///
  /// - Parameters:
  ///   - quantity: in units, at least 1.
  ///   - customerID: 1 to 255 characters. `max_per_customer` counts the units of each customer.
  ///   - idempotencyKey: 1 to 255 characters. The same request with the same key has one effect.
  ///   - metadata: of the hold, and of its order.
  package func reserveHold(
    productID: Int32, quantity: Int32, customerID: String? = nil, idempotencyKey: String? = nil,
    metadata: Metadata? = nil, completion: @escaping Completion<ReserveHold.Outcome>
  ) {
    let request = ReserveHold.Request(
      productID: productID, quantity: quantity, customerID: customerID.map(VerbatimText.init),
      idempotencyKey: idempotencyKey, metadata: metadata)
    let completion = CheckoutMetrics.counting(metrics?.holds, completion)
    // Most requests come here, and need no closure for `call`.
    if knownProducts.contains(productID) { return useCases.reserveHolds.submit(request, completion: completion) }
    knownProducts.call(productID, absent: .productNotFound, completion: completion) { [useCases] in
      useCases.reserveHolds.submit(request, completion: $0)
    }
  }

  /// Reads a hold. Nil for an unknown id.
  package func hold(_ id: ReservationID) async throws -> Hold? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.readHolds.submit(id, completion: $0)
      }
    }
  }

  /// Releases a hold.
  ///
  /// - Returns: the hold afterwards. Its status says whether it was released. Nil for an unknown hold.
  package func releaseHold(_ id: ReservationID) async throws -> Hold? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.releaseHolds.submit(id, completion: $0)
      }
    }
  }

  // MARK: Orders

  /// As the variant with a completion.
  package func placeOrder(
    holdID: ReservationID, idempotencyKey: String? = nil, metadata: Metadata? = nil
  ) async throws -> PlaceOrder.Outcome {
    try await awaitCompletion {
      placeOrder(holdID: holdID, idempotencyKey: idempotencyKey, metadata: metadata, completion: $0)
    }
  }

  /// Places an order.
  ///
  /// - Parameters:
  ///   - idempotencyKey: 1 to 255 characters. The same request with the same key has one effect.
  ///   - metadata: of the order, on top of the hold's.
  package func placeOrder(
    holdID: ReservationID, idempotencyKey: String? = nil, metadata: Metadata? = nil,
    completion: @escaping Completion<PlaceOrder.Outcome>
  ) {
    let request = PlaceOrder.Request(holdID: holdID, idempotencyKey: idempotencyKey, metadata: metadata)
    knownProducts.call(
      holdID.productID, absent: .holdNotFound, completion: CheckoutMetrics.counting(metrics?.orders, completion)
    ) { [useCases] in useCases.placeOrders.submit(request, completion: $0) }
  }

  /// Reads an order. Nil for an unknown id.
  package func order(_ id: ReservationID) async throws -> Order? {
    try await awaitCompletion { completion in
      knownProducts.call(id.productID, absent: nil, completion: completion) { [useCases] in
        useCases.readOrders.submit(id, completion: $0)
      }
    }
  }

  // MARK: Payments

  /// As the variant with a completion.
  package func applyPaymentEvent(_ event: PaymentEvent) async throws -> ApplyPaymentEvent.Outcome {
    try await awaitCompletion { applyPaymentEvent(event, completion: $0) }
  }

  /// Records a payment event and applies it to its order. The same event has one effect.
  package func applyPaymentEvent(_ event: PaymentEvent, completion: @escaping Completion<ApplyPaymentEvent.Outcome>) {
    useCases.applyPaymentEvents.submit(event, completion: CheckoutMetrics.counting(metrics?.paymentEvents, completion))
  }

  /// A page of payment events, newest first.
  ///
  /// - Parameters:
  ///   - verdict: lists only events with this verdict; nil for all.
  ///   - orderID: lists only events of this order; nil for all.
  ///   - cursor: the page begins after it; nil for the first page.
  package func paymentEvents(
    verdict: PaymentEvent.Verdict? = nil, orderID: ReservationID? = nil, from cursor: PaymentEventPage.Cursor? = nil
  ) async throws -> PaymentEventPage {
    try await call(isRead: true) {
      try await ListPaymentEvents(verdict: verdict, orderID: orderID, cursor: cursor).page(from: $0)
    }
  }

  /// Settles a refund: see `SettleRefund`. A parked success is not applied afterwards.
  ///
  /// - Returns: the event, nil for an unknown key. `settledAt` is nil when no refund was due.
  package func settleRefund(idempotencyKey: String, by author: ChangeAuthor) async throws -> RecordedPaymentEvent? {
    try await call { try await $0.transact(SettleRefund(idempotencyKey: idempotencyKey, author: author)).first }
  }

  // MARK: Operations

  /// Checks every invariant in one snapshot.
  package func audit() async throws -> Audit {
    try await call(isRead: true) { try await Audit.run(on: $0) }
  }

  /// Whether a hold could be placed now. Logs each change. Takes at most two seconds.
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

  /// The current values of all gauges. If the database does not answer within two seconds, only the pool's and
  /// `databaseUp`.
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

  /// The longest wait of a monitor for the database. Monitors usually wait longer than that for a response.
  private static let monitoringTimeLimit: Duration = .seconds(2)

  /// Runs a call outside of batches, and translates its errors.
  func call<Result: Sendable>(
    isRead: Bool = false, _ body: (Pool) async throws -> Result
  ) async throws -> Result {
    do {
      return try await body(database)
    } catch {
      throw CheckoutError.translating(error, isRead: isRead)
    }
  }
}
