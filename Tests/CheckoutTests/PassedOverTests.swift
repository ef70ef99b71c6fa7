import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Another session has locked a lapsed hold. A request that does not need its units does not wait for it.
@Suite struct PassedOverTests {
  private static let lock = "select from holds where quantity = 2 for update"

  /// Lends a product of seven units in two lapsed holds. The older one has two units. No worker expires them.
  private func withLapsedHolds(
    _ body: @escaping @Sendable (Checkout, Pool, Product) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 7)
        for quantity in [Int32(2), 5] { _ = try await checkout.hold(quantity, of: product) }
        try await pool.run(
          """
          update scheduled_jobs set run_at = clock_timestamp() + interval '1 hour';
          update holds set expires_at = clock_timestamp() - case quantity when 2 then 2 else 1 end * interval '1 second'
          """)
        try await body(checkout, pool, product)
        try await checkout.expectCleanAudit()
      }
    }
  }

  private func request(_ quantity: Int32, of product: Product) -> ReserveHold.Request {
    ReserveHold.Request(productID: product.id, quantity: quantity, customerID: nil, idempotencyKey: nil)
  }

  @Test func `a buyer gets the units of other lapsed holds`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      try await pool.holding(Self.lock) { _ in _ = try await checkout.hold(3, of: product) }
      #expect(try await checkout.availableStock(product) == 4)
    }
  }

  /// Both requests are in one batch. The larger one came first, and goes into the next batch.
  @Test func `a request that needs the locked units delays no other`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      let outcomes = try await pool.holding(Self.lock) { _ in
        try await pool.reserve([request(6, of: product), request(1, of: product)], of: product)
      }
      guard outcomes[0] == nil, case .held? = outcomes[1] else { throw Unexpected("\(outcomes)") }
      guard case .held? = try await pool.reserve([request(6, of: product)], of: product)[0] else {
        throw Unexpected("no hold")
      }
    }
  }

  @Test func `a request that needs the locked units gets them after the unlock`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      let (large, small) = try await pool.holding(Self.lock) { commit in
        let large = Task { try await checkout.reserveHold(productID: product.id, quantity: 6) }
        try await pool.untilBlocked(1)
        let small = try await checkout.reserveHold(productID: product.id, quantity: 1)
        try await commit()
        return (try await large.value, small)
      }
      guard case .held = small, case .held = large else { throw Unexpected("\(small), \(large)") }
      #expect(try await checkout.availableStock(product) == 0)
    }
  }

  /// A worker does not wait either. It returns to the locked hold later.
  @Test func `a worker expires the other lapsed holds`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      try await pool.holding(Self.lock) { _ in
        let expired = try await pool.integer("select expired from expire_holds(\(product.id), 10, null)")
        #expect(expired == 1)
      }
      // expire_holds leaves the stock to its caller.
      try await pool.run("update products set available_stock = 5")
    }
  }

  /// The other session may want the newer hold next. Then each would wait for the other.
  @Test func `no transaction waits for an older hold with a newer one locked`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      try await pool.holding(Self.lock) { commit in
        async let all: Void = pool.run("begin; select expire_holds(\(product.id), 10, 7); rollback")
        try await pool.untilBlocked(1)
        #expect(try await pool.integer("select count(*) from (select from holds for update skip locked) free") == 1)
        try await commit()
        try await all
      }
    }
  }

  /// The locks that follow have the transaction's own timeout.
  @Test func `the short lock timeout applies only to lapsed holds`() async throws {
    try await withLapsedHolds { checkout, pool, product in
      for isLocked in [true, false] {
        try await pool.holding(isLocked ? Self.lock : "select") { _ in
          try await pool.run(
            """
            begin;
            set local lock_timeout = '7s';
            select expire_holds(\(product.id), 10, 7, 1);
            do $$ begin assert current_setting('lock_timeout') = '7s', current_setting('lock_timeout'); end $$;
            rollback
            """)
        }
      }
    }
  }
}
