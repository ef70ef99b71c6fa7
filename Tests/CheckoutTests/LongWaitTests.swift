import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// While a transaction waits for a lock, time passes and operators change products. What the transaction read before the
/// wait does not count.
@Suite struct LongWaitTests {
  private static let second: Int64 = 1_000_000
  /// Delays all jobs, so that no worker expires a hold.
  private static let noWorker = "update scheduled_jobs set run_at = clock_timestamp() + interval '1 hour'"

  private func clock(_ pool: Pool) async throws -> Int64 {
    try await pool.integer("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
  }

  /// Makes a call that waits for a lock, for longer than its hold or order lives. Also returns a time during the wait.
  private func waiting<Outcome: Sendable>(
    for lock: String, _ pool: Pool, _ call: @escaping @Sendable () async throws -> Outcome,
    meanwhile: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> (Outcome, lockedAt: Int64) {
    try await pool.holding(lock) { commit in
      let outcome = Task { try await call() }
      try await pool.untilBlocked(1)
      try await meanwhile()
      let blockedAt = try await clock(pool)
      try await pool.untilPast(Timestamp(microsecondsSince1970: blockedAt + Self.second / 2))
      let lockedAt = try await clock(pool)
      try await commit()
      return (try await outcome.value, lockedAt)
    }
  }

  /// - Parameter units: five are available. More units reclaim a lapsed hold, which is another path.
  @Test(.checkout(holdTimeToLive: .milliseconds(500)), arguments: [Int32(2), 6])
  func `a hold's time begins when its product is locked`(units: Int32) async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 6)
    _ = try await checkout.hold(1, of: product)
    try await pool.run("\(Self.noWorker); update holds set expires_at = clock_timestamp()")
    let (outcome, lockedAt) = try await waiting(for: "select from products for update", pool) {
      try await checkout.reserveHold(productID: product.id, quantity: units)
    }
    guard case .held(let hold, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
    // `expires_at` has whole milliseconds.
    #expect(hold.expiresAt.microsecondsSince1970 > lockedAt + Self.second / 2 - 1000)
    let recorded = try await pool.integer(
      "select (extract(epoch from expires_at) * 1000000)::bigint from holds where id = '\(hold.id.uuidText)'")
    #expect(recorded == hold.expiresAt.microsecondsSince1970)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout, arguments: [Int32(2), 6])
  func `no hold is made after the end of the sale`(units: Int32) async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 6)
    _ = try await checkout.hold(1, of: product)
    try await pool.run(
      """
      \(Self.noWorker);
      update holds set expires_at = clock_timestamp();
      update products set ends_at = clock_timestamp() + interval '4 seconds'
      """)
    let endsAt = try #require(try await checkout.product(product.id)?.endsAt)
    // The servers' lock timeout is too short for this wait, so the test calls the function itself.
    let error = try await pool.holding("select from products for update") { commit in
      let error = Task {
        await #expect(throws: PostgresError.self) {
          try await pool.run(
            """
            begin;
            set local lock_timeout = '20s';
            select reserve_holds(\(product.id), array[gen_random_uuid()], '{\(units)}', 60000000, null, null, null);
            commit
            """)
        }
      }
      try await pool.untilBlocked(1)
      try await pool.untilPast(endsAt)
      try await commit()
      return await error.value
    }
    guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
    #expect(refusal.sqlState == "40001")
    #expect(
      try await checkout.reserveHold(productID: product.id, quantity: units) == .saleEnded(endsAt: endsAt))
    try await checkout.expectCleanAudit()
  }

  /// What an operator commits while the buyer waits, and the refusal that the buyer gets.
  enum Change: String, CaseIterable {
    case perHold = "max_quantity_per_hold = 1"
    case perCustomer = "max_per_customer = 1"
    case start = "starts_at = clock_timestamp() + interval '1 hour'"
    case end = "ends_at = clock_timestamp()"
    case pause = "is_paused = true"

    func isReason(for outcome: ReserveHold.Outcome) -> Bool {
      switch (self, outcome) {
      case (.perHold, .quantityAboveLimit(1)), (.perCustomer, .customerLimitReached), (.start, .saleNotStarted),
        (.end, .saleEnded), (.pause, .salePaused):
        true
      default: false
      }
    }
  }

  @Test(.checkout, arguments: Change.allCases, [Int32(2), 6])
  func `a hold obeys what an operator commits while it waits`(change: Change, units: Int32) async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 6)
    _ = try await checkout.hold(1, of: product)
    try await pool.run("\(Self.noWorker); update holds set expires_at = clock_timestamp()")
    let outcome = try await pool.holding("update products set \(change.rawValue)") { commit in
      let outcome = Task {
        try await checkout.reserveHold(productID: product.id, quantity: units, customerID: "ada")
      }
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome.value
    }
    #expect(change.isReason(for: outcome), "\(outcome)")
    try await checkout.expectCleanAudit()
  }

  /// Once a change of the price is confirmed, no later order has the old price.
  @Test(.checkout(orderTimeToLive: .milliseconds(500)))
  func `an order gets its time and price after the wait for ordered_stock`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5, price: 100)
    let hold = try await checkout.hold(2, of: product)
    let (outcome, lockedAt) = try await waiting(for: "select from ordered_stock for update", pool) {
      try await checkout.placeOrder(holdID: hold.id)
    } meanwhile: {
      var change = UpdateProduct(productID: product.id)
      change.price = 300
      _ = try await checkout.updateProduct(change)
    }
    guard case .placed(let order, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
    #expect(order.paymentDueAt.microsecondsSince1970 > lockedAt + Self.second / 2 - 1000)
    #expect(order.createdAt.microsecondsSince1970 >= lockedAt)
    #expect(order.amount == 600)
  }

  /// The hold was ordered before it lapsed, so the order begins before `expires_at`.
  @Test(.checkout) func `an order begins before the end of its hold`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    try await pool.run(
      """
      \(Self.noWorker); update holds set expires_at = clock_timestamp() + interval '400 milliseconds'
      """)
    let (outcome, lockedAt) = try await waiting(for: "select from ordered_stock for update", pool) {
      try await checkout.placeOrder(holdID: hold.id)
    }
    // On a busy machine the hold may lapse before it is ordered. That proves nothing.
    guard case .placed(let order, isReplay: false) = outcome else { return #expect(outcome == .holdExpired) }
    let end = try await pool.integer("select (extract(epoch from expires_at) * 1000000)::bigint from holds")
    #expect(order.createdAt.microsecondsSince1970 < end && end < lockedAt)
    try await checkout.expectCleanAudit()
  }

  /// Holds of several products do not wait for a row, but for a table that an operator has locked.
  ///
  /// - Parameter endsIn: when the sale ends during the wait; nil when it ends later.
  @Test(.database, arguments: [nil, "4 seconds"])
  func `holds of several products begin after the wait for a table`(endsIn: String?) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
      update products set ends_at = clock_timestamp() + interval '\(endsIn ?? "1 hour")';
      insert into scheduled_jobs (product_id, kind, run_at) values (1, 'expire_holds', clock_timestamp());
      """)
    let endsAt = try await pool.integer("select (extract(epoch from ends_at) * 1000000)::bigint from products")
    let (result, lockedAt) = try await pool.holding("lock table scheduled_jobs in access exclusive mode") { commit in
      let call = Task {
        try await pool.run(
          """
          begin;
          set local lock_timeout = '20s';
          create table public.answers as
          select held_until
          from reserve_holds_together('{1}', array[gen_random_uuid()], '{1}', 500000, null, null);
          commit
          """)
      }
      try await pool.untilBlocked(1)
      let end = endsIn == nil ? try await clock(pool) + Self.second / 2 : endsAt
      try await pool.untilPast(Timestamp(microsecondsSince1970: end))
      let lockedAt = try await clock(pool)
      try await commit()
      return (await call.result, lockedAt)
    }
    switch result {
    case .success:
      #expect(endsIn == nil)
      let heldUntil = try await pool.integer(
        """
        select (extract(epoch from a.held_until) * 1000000)::bigint
        from public.answers a join holds h on h.expires_at = a.held_until
        """)
      #expect(heldUntil > lockedAt + Self.second / 2 - 1000)
    case .failure(let error):
      guard endsIn != nil, case PostgresError.server(let refusal) = error else { throw error }
      #expect(refusal.sqlState == "40001")
    }
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }
}
