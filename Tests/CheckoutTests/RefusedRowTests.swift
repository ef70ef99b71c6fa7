import Postgres
import TestSupport
import Testing

@testable import Checkout

/// A constraint that these tests add makes PostgreSQL refuse a row. Only the request of that row must fail.
@Suite struct RefusedRowTests {
  /// Makes requests while a row is locked, so that all but the first share one batch. Returns their results.
  private func together<Outcome: Sendable>(
    _ count: Int, _ pool: Pool, lock: String = "select from products for update",
    waiting: @escaping @Sendable () -> Int, _ request: @escaping @Sendable (Int) async throws -> Outcome
  ) async throws -> [Result<Outcome, any Error>] {
    try await pool.holding(lock) { commit in
      let first = Task { try await request(0) }
      try await pool.untilBlocked(1)
      var others: [Task<Outcome, any Error>] = []
      for number in 1..<count {
        others.append(Task { try await request(number) })
        try await until("the requests wait") { waiting() >= number }
      }
      try await commit()
      var results: [Result<Outcome, any Error>] = [await first.result]
      for other in others { results.append(await other.result) }
      return results
    }
  }

  private func expectRefused<Outcome>(
    _ results: [Result<Outcome, any Error>], only refused: Set<Int>, _ sqlState: String,
    at location: SourceLocation = #_sourceLocation
  ) {
    for (number, result) in results.enumerated() {
      switch result {
      case .success: #expect(!refused.contains(number), "\(number)", sourceLocation: location)
      case .failure(CheckoutError.refused(let reason)):
        #expect(
          refused.contains(number) && reason.contains("SQLSTATE \(sqlState)"), "\(number): \(reason)",
          sourceLocation: location)
      case .failure(let error): Issue.record("\(number): \(error)", sourceLocation: location)
      }
    }
  }

  @Test(.checkout) func `a hold that PostgreSQL refuses fails no other hold`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await pool.run("alter table holds add constraint test check (customer_id not like 'bad%')")
    let product = try await checkout.newProduct(stock: 100)
    let results = try await together(40, pool, waiting: { checkout.waitingReservations(of: product.id) }) {
      number in
      try await checkout.reserveHold(
        productID: product.id, quantity: 1,
        customerID: [7, 8, 31].contains(number) ? "bad \(number)" : "good \(number)",
        idempotencyKey: number % 2 == 0 ? "key \(number)" : nil)
    }
    expectRefused(results, only: [7, 8, 31], "23514")
    for (number, result) in results.enumerated() {
      if case .success(.held(_, isReplay: false)) = result { continue }
      #expect([7, 8, 31].contains(number), "\(result)")
    }
    #expect(try await pool.integer("select sum(quantity) from holds where status = 'active'") == 37)
    try await checkout.expectCleanAudit()
  }

  /// At first the products share a batch.
  @Test(.checkout) func `a hold that PostgreSQL refuses fails no hold of another product`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await pool.run("alter table holds add constraint test check (customer_id <> 'bad')")
    var products: [Product] = []
    for _ in 0..<20 { products.append(try await checkout.newProduct(stock: 5)) }
    for product in products { _ = try await checkout.hold(1, of: product) }
    let outcomes = await withTaskGroup(of: (Int, Result<ReserveHold.Outcome, any Error>).self) { group in
      for number in 0..<60 {
        let product = products[number % products.count].id
        group.addTask {
          let task = Task {
            try await checkout.reserveHold(
              productID: product, quantity: 1, customerID: number == 21 ? "bad" : "good \(number)")
          }
          return (number, await task.result)
        }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    expectRefused((0..<60).map { outcomes[$0]! }, only: [21], "23514")
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an order that PostgreSQL refuses fails no other order`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100)
    var holds: [Hold] = []
    for _ in 0..<12 { holds.append(try await checkout.hold(1, of: product)) }
    try await pool.run("alter table orders add constraint test check (id <> '\(holds[5].id.uuidText)')")
    let results = try await together(
      12, pool, lock: "select from holds where id = '\(holds[0].id.uuidText)' for update",
      waiting: { checkout.waitingOrders(of: product.id) }
    ) { [holds] in try await checkout.placeOrder(holdID: holds[$0].id) }
    expectRefused(results, only: [5], "23514")
    #expect(try await pool.integer("select count(*) from orders") == 11)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a payment event that PostgreSQL refuses fails no other event`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100)
    var orders: [Order] = []
    for _ in 0..<12 { orders.append(try await checkout.order(1, of: product)) }
    try await pool.run("alter table payment_events add constraint test check (idempotency_key <> 'key 9')")
    let results = try await together(
      12, pool, lock: "select from orders where id = '\(orders[0].id.uuidText)' for update",
      waiting: { checkout.waitingPaymentEvents(of: product.id) }
    ) { [orders] in try await checkout.pay(orders[$0].id, key: "key \($0)") }
    expectRefused(results, only: [9], "23514")
    #expect(try await pool.integer("select count(*) from orders where status = 'paid'") == 11)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a release that PostgreSQL refuses fails no other release`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100)
    var holds: [Hold] = []
    for _ in 0..<12 { holds.append(try await checkout.hold(1, of: product)) }
    try await pool.run(
      "alter table holds add constraint test check (id <> '\(holds[11].id.uuidText)' or status <> 'released')")
    let results = try await together(
      12, pool, lock: "select from holds where id = '\(holds[0].id.uuidText)' for update",
      waiting: { checkout.waitingReleases(of: product.id) }
    ) { [holds] in try await checkout.releaseHold(holds[$0].id)?.status }
    expectRefused(results, only: [11], "23514")
    #expect(try await checkout.availableStock(product) == 99)
    try await checkout.expectCleanAudit()
  }
}
