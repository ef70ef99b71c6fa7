import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Another session has a lapsed hold locked. Whoever needs none of its units does not wait for it.
@Suite struct PassedOverTests {
  private static let lock = "select from holds where quantity = 2 for update"

  /// A product of seven units in two holds that have lapsed, two units in the older one. No worker is about.
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

  @Test func aBuyerIsServedFromTheOtherLapsedHolds() async throws {
    try await withLapsedHolds { checkout, pool, product in
      try await pool.holding(Self.lock) { _ in _ = try await checkout.hold(3, of: product) }
      #expect(try await checkout.availableStock(product) == 4)
    }
  }

  /// In one batch: the larger request came first, and goes into the next batch.
  @Test func whoNeedsItsUnitsDelaysNobody() async throws {
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

  @Test func whoNeedsItsUnitsGetsThemOnceTheyAreFree() async throws {
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

  /// A worker does not wait either: it looks again at what is locked.
  @Test func aWorkerExpiresTheOthers() async throws {
    try await withLapsedHolds { checkout, pool, product in
      try await pool.holding(Self.lock) { _ in
        let expired = try await pool.integer("select expired from expire_holds(\(product.id), 10, null)")
        #expect(expired == 1)
      }
      // What it expired was for the sake of the count.
      try await pool.run("update products set available_stock = 5")
    }
  }

  /// Whoever waits for the older hold has not locked the newer one: the other session may want that next.
  @Test func nobodyWaitsForAnOlderHoldWithANewerOneLocked() async throws {
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

  /// The time limit of that wait is not that of the locks that follow.
  @Test func onlyLapsedHoldsAreWaitedForBriefly() async throws {
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
