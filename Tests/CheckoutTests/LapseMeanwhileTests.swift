import FoundationEssentials
import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Holds that lapse while a request for their units waits for a lock. From that moment their units count as available.
@Suite struct LapseMeanwhileTests {
  /// Lends a product of seven units. Two are in a lapsed hold, five in an active one. Without a job, no worker expires them.
  private func withTwoHolds(
    _ body: @escaping @Sendable (Checkout, Pool, Product) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 7)
        // This order can be paid late. Its units are back in the stock.
        let order = try await checkout.order(6, of: product)
        _ = try await checkout.pay(order.id, .failed, key: "failed")
        for quantity in [Int32(2), 5] { _ = try await checkout.hold(quantity, of: product) }
        try await pool.run(
          "delete from scheduled_jobs; update holds set expires_at = clock_timestamp() where quantity = 2")
        try await body(checkout, pool, product)
        try await checkout.expectCleanAudit()
      }
    }
  }

  private let otherLapses = "update holds set expires_at = clock_timestamp() where quantity = 5"

  /// Makes a call that waits for the stock. Meanwhile the other hold lapses, too.
  private func whileTheOtherLapses<Outcome: Sendable>(
    _ pool: Pool, _ call: @escaping @Sendable () async throws -> Outcome
  ) async throws -> Outcome {
    let outcome = try await pool.holding("select from products for update") { commit in
      let outcome = Task { try await call() }
      try await pool.untilBlocked(1)
      try await pool.run(otherLapses)
      try await commit()
      return outcome
    }
    return try await outcome.value
  }

  /// The first attempt must succeed. Where holds lapse all the time, a second attempt could fail in the same way.
  @Test func `a buyer gets units that lapsed while the buyer waited`() async throws {
    try await withTwoHolds { checkout, pool, product in
      try await whileTheOtherLapses(pool) {
        try await pool.run(
          """
          create table public.answers as select unnest(outcomes) as outcome from reserve_holds(
            \(product.id), array[gen_random_uuid(), gen_random_uuid()], '{1,6}', 60000000, null, null, null)
          """)
      }
      #expect(try await pool.integer("select count(*) from public.answers where outcome = 'held'") == 2)
      #expect(try await checkout.availableStock(product) == 0)
    }
  }

  @Test func `a refusal counts units that lapsed while the buyer waited`() async throws {
    try await withTwoHolds { checkout, pool, product in
      let outcomes = try await whileTheOtherLapses(pool) { try await pool.reserve([1, 7], of: product) }
      guard case .held? = outcomes[0], case .insufficientStock(let left)? = outcomes[1] else {
        throw Unexpected("\(outcomes)")
      }
      #expect(left.available == 6 && left.held == 1)
      #expect(try await checkout.availableStock(product) == 6)
    }
  }

  /// Another session has locked the hold, such as a worker that expires it.
  @Test func `units that another session is returning are not refused`() async throws {
    try await withTwoHolds { checkout, pool, product in
      let outcomes = try await pool.holding("select from products for update") { commit in
        let outcomes = Task { try await pool.reserve([1, 6], of: product) }
        try await pool.untilBlocked(1)
        try await pool.run(otherLapses)
        return try await pool.holding("select from holds where quantity = 5 for update") { _ in
          try await commit()
          return try await outcomes.value
        }
      }
      guard case .held? = outcomes[0], outcomes[1] == nil else { throw Unexpected("\(outcomes)") }
      guard case .held? = try await pool.reserve([6], of: product)[0] else { throw Unexpected("no hold") }
      #expect(try await checkout.availableStock(product) == 0)
    }
  }

  @Test func `a late success gets units that lapsed while it waited`() async throws {
    try await withTwoHolds { checkout, pool, product in
      let id = try #require(
        try await pool.withConnection { try await $0.execute(CancelledOrder()) }.compactMap { ReservationID($0) }.first)
      let outcome = try await whileTheOtherLapses(pool) { try await checkout.pay(id, key: "late") }
      #expect(outcome == .decided(.reacquired, orderStatus: .paid, isReplay: false))
      #expect(try await checkout.availableStock(product) == 1)
    }
  }

  private struct CancelledOrder: PreparedStatement {
    static let name = "cancelled_order"
    static let sql = "select id from orders where status = 'cancelled'"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> UUID { try row.decode() }
  }
}

extension Pool {
  fileprivate func reserve(_ quantities: [Int32], of product: Product) async throws -> [ReserveHold.Outcome?] {
    try await reserve(
      quantities.map {
        ReserveHold.Request(productID: product.id, quantity: $0, customerID: nil, idempotencyKey: nil)
      }, of: product)
  }
}
