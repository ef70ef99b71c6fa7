import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Time passes, and operators change things, while a transaction waits for a lock. What it read before does not count.
@Suite struct LongWaitTests {
  private static let second: Int64 = 1_000_000
  /// What lapses is left alone.
  private static let noWorker = "update scheduled_jobs set run_at = clock_timestamp() + interval '1 hour'"

  private func clock(_ pool: Pool) async throws -> Int64 {
    try await pool.integer("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
  }

  /// Makes a call, which waits for a lock for longer than what it makes lives. Returns when the lock was still held, too.
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

  /// - Parameter units: five are free; more take a lapsed hold, which goes another way.
  @Test(arguments: [Int32(2), 6])
  func aHoldBeginsWhenTheProductIsHad(units: Int32) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url, holdTimeToLive: .milliseconds(500)) { checkout, pool in
        let product = try await checkout.newProduct(stock: 6)
        _ = try await checkout.hold(1, of: product)
        try await pool.run("\(Self.noWorker); update holds set expires_at = clock_timestamp()")
        let (outcome, lockedAt) = try await waiting(for: "select from products for update", pool) {
          try await checkout.reserveHold(productID: product.id, quantity: units)
        }
        guard case .held(let hold, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
        // Whole milliseconds, as clients see it.
        #expect(hold.expiresAt.microsecondsSince1970 > lockedAt + Self.second / 2 - 1000)
        let recorded = try await pool.integer(
          "select (extract(epoch from expires_at) * 1000000)::bigint from holds where id = '\(hold.id.uuidText)'")
        #expect(recorded == hold.expiresAt.microsecondsSince1970)
        try await checkout.expectCleanAudit()
      }
    }
  }

  @Test(arguments: [Int32(2), 6])
  func noHoldIsGrantedAfterTheEndOfTheSale(units: Int32) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 6)
        _ = try await checkout.hold(1, of: product)
        try await pool.run(
          """
          \(Self.noWorker);
          update holds set expires_at = clock_timestamp();
          update products set ends_at = clock_timestamp() + interval '4 seconds'
          """)
        let endsAt = try #require(try await checkout.product(product.id)?.endsAt)
        // A server would not wait for so long, nor begin so early before the end on purpose.
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
    }
  }

  /// What an operator commits while the reservation waits, and what the buyer is told then.
  enum Change: String, CaseIterable {
    case perHold = "max_quantity_per_hold = 1"
    case perCustomer = "max_per_customer = 1"
    case start = "starts_at = clock_timestamp() + interval '1 hour'"
    case end = "ends_at = clock_timestamp()"

    func isTold(by outcome: ReserveHold.Outcome) -> Bool {
      switch (self, outcome) {
      case (.perHold, .quantityAboveLimit(1)), (.perCustomer, .customerLimitReached), (.start, .saleNotStarted),
        (.end, .saleEnded):
        true
      default: false
      }
    }
  }

  @Test(arguments: Change.allCases, [Int32(2), 6])
  func whatAnOperatorCommitsMeanwhileCounts(change: Change, units: Int32) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
        #expect(change.isTold(by: outcome), "\(outcome)")
        try await checkout.expectCleanAudit()
      }
    }
  }

  /// An operator who was told that the price is changed finds no later order at the old one.
  @Test func anOrderBeginsWhenItIsCountedAndHasThePriceOfThen() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url, orderTimeToLive: .milliseconds(500)) { checkout, pool in
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
    }
  }

  /// It was ordered in time, so the order begins before its end.
  @Test func anOrderBeginsBeforeTheEndOfItsHold() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 5)
        let hold = try await checkout.hold(2, of: product)
        try await pool.run(
          """
          \(Self.noWorker); update holds set expires_at = clock_timestamp() + interval '400 milliseconds'
          """)
        let (outcome, lockedAt) = try await waiting(for: "select from ordered_stock for update", pool) {
          try await checkout.placeOrder(holdID: hold.id)
        }
        // A machine that is too busy finds the hold lapsed, which proves nothing.
        guard case .placed(let order, isReplay: false) = outcome else { return #expect(outcome == .holdExpired) }
        let end = try await pool.integer("select (extract(epoch from expires_at) * 1000000)::bigint from holds")
        #expect(order.createdAt.microsecondsSince1970 < end && end < lockedAt)
        try await checkout.expectCleanAudit()
      }
    }
  }

  /// Products that are reserved together wait for no row, but an operator may have locked the whole table.
  ///
  /// - Parameter endsIn: when the sale ends; it is the table that is waited for.
  @Test(arguments: [nil, "4 seconds"])
  func productsReservedTogetherAreNoException(endsIn: String?) async throws {
    try await TestDatabases.withDatabase { url in
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
}
