import Postgres
import TestSupport
import Testing

@testable import Checkout

/// A read shows one moment: its clock belongs to its snapshot, even after a wait for a table.
@Suite struct OneMomentTests {
  /// Lends a product of three units. Two are in a hold that lapses in a second. There is no job.
  private func withHold(_ body: @escaping @Sendable (Checkout, Pool, Product, Hold) async throws -> Void) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 3)
        let id = try await checkout.hold(2, of: product).id
        try await pool.run(
          """
          delete from scheduled_jobs;
          update holds set expires_at = date_trunc('milliseconds', clock_timestamp() + interval '1 second');
          """)
        let hold = try #require(try await checkout.hold(id))
        try await body(checkout, pool, product, hold)
      }
    }
  }

  /// At first one unit is available. After the hold lapses, three are. After the commit of the other hold, two are.
  @Test func `a product's available stock is exact at one moment`() async throws {
    try await withHold { checkout, pool, product, hold in
      let take = "select reserve_holds(\(product.id), array[gen_random_uuid()], '{1}', 60000000, null, null, null)"
      let read = try await pool.holding("lock table products in access exclusive mode; \(take)") { commit in
        async let read = checkout.product(product.id)
        try await pool.untilBlocked(1)
        try await pool.untilPast(hold.expiresAt)
        try await commit()
        return try await read
      }
      #expect(read?.availableStock == 2)
    }
  }

  @Test func `a hold's status is exact at one moment`() async throws {
    try await withHold { checkout, pool, product, hold in
      let read = try await pool.holding("lock table holds in access exclusive mode") { commit in
        async let read = checkout.hold(hold.id)
        try await pool.untilBlocked(1)
        try await pool.untilPast(hold.expiresAt)
        try await commit()
        return try await read
      }
      #expect(read?.status == .expired)
    }
  }

  /// While the refusal is made, the hold lapses and its units return to the stock.
  @Test func `a refusal shows the stock of one moment`() async throws {
    try await withHold { checkout, pool, product, hold in
      _ = try await checkout.hold(1, of: product)
      let outcome = try await pool.holding("lock table ordered_stock in access exclusive mode") { commit in
        async let outcome = checkout.reserveHold(productID: product.id, quantity: 3)
        try await pool.untilBlocked(1)
        try await pool.untilPast(hold.expiresAt)
        try await pool.run(
          """
          update holds set status = 'expired' where id = '\(hold.id.uuidText)';
          update products set available_stock = available_stock + 2
          """)
        try await commit()
        return try await outcome
      }
      guard case .insufficientStock(let left) = outcome else { throw Unexpected("\(outcome)") }
      #expect(left.available + left.held == 3, "\(left)")
    }
  }
}
