import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Holds of several products in one transaction.
@Suite struct ReserveTogetherTests {
  /// A reason not to serve the second product: a change before the call, or a lock of another session.
  enum Obstacle: String, CaseIterable {
    case tooLittleLeft = "update products set available_stock = 2 where id = 2"
    case notStarted = "update products set starts_at = clock_timestamp() + interval '1 minute' where id = 2"
    case ended = "update products set ends_at = clock_timestamp() where id = 2"
    case quantityAboveLimit = "update products set max_quantity_per_hold = 1 where id = 2"
    case limitPerCustomer = "update products set max_per_customer = 100 where id = 2"
    case noJob = "delete from scheduled_jobs where product_id = 2 and kind = 'expire_holds'"
    case lateJob = """
      update scheduled_jobs set run_at = run_at + interval '1 hour' where product_id = 2 and kind = 'expire_holds'
      """
    case usedKey = """
      insert into idempotency_keys (product_id, key, customer_id, operation, hold_id, created_at)
      values (2, 'c', 'x', 'reserve_hold', gen_random_uuid(), now())
      """
    case lockedRow = "select from products where id = 2 for update"
    case lockedKey = "select pg_advisory_xact_lock(key_lock(2, 'c'))"
    case lockedCustomer = "select pg_advisory_xact_lock(customer_lock(2, 'x'))"
    case workerAtItsJob = "select pg_advisory_xact_lock(job_lock(2))"

    var isHeld: Bool { [.lockedRow, .lockedKey, .lockedCustomer, .workerAtItsJob].contains(self) }
  }

  /// For each of two products, a hold of one unit and a hold of two.
  private static let call = """
    reserve_holds_together(
        array[1, 2, 1, 2], array(select gen_random_uuid() from generate_series(1, 4)), array[1, 1, 2, 2], 600000000,
        array['a', 'b', null, 'c'], array['x', null, null, 'x'])
    """

  /// Lends two products with ten available units. Each product has a hold of one unit, so each has a job.
  private func withTwoProducts(_ body: @escaping @Sendable (Checkout, Pool) async throws -> Void) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        for _ in 1...2 {
          let product = try await checkout.newProduct(stock: 11)
          _ = try await checkout.hold(1, of: product)
        }
        try await body(checkout, pool)
      }
    }
  }

  /// For each product: the available stock, the units in holds, and the number of keys.
  private func state(_ pool: Pool) async throws -> [Int64] {
    var numbers: [Int64] = []
    for id in 1...2 {
      numbers.append(try await pool.integer("select available_stock from products where id = \(id)"))
      numbers.append(try await pool.integer("select sum(quantity) from holds where product_id = \(id)"))
      numbers.append(try await pool.integer("select count(*) from idempotency_keys where product_id = \(id)"))
    }
    return numbers
  }

  @Test func `products without an obstacle are served in one transaction`() async throws {
    try await withTwoProducts { checkout, pool in
      #expect(try await pool.integer("select cardinality(served) from \(Self.call)") == 2)
      #expect(try await state(pool) == [7, 4, 1, 7, 4, 2])
      #expect(try await pool.integer("select count(*) from holds where customer_id = 'x'") == 2)
      #expect(try await pool.integer("select count(distinct xmin::text) from holds") == 3)
      try await checkout.expectCleanAudit()
    }
  }

  @Test func `holds of several products keep their metadata`() async throws {
    try await withTwoProducts { checkout, pool in
      let served = try await pool.integer(
        """
        select cardinality(served) from reserve_holds_together(
            '{1, 2, 1}', array(select gen_random_uuid() from generate_series(1, 3)), '{1, 1, 1}', 600000000, null, null,
            array[null, '{"cart": "7"}', '{"cart": "8"}'])
        """)
      #expect(served == 2)
      for (product, cart) in [(1, 8), (2, 7)] {
        let found = "select (metadata ->> 'cart') from holds where product_id = \(product) and metadata is not null"
        #expect(try await pool.integer(found) == Int64(cart))
      }
      #expect(try await pool.integer("select count(*) from holds where metadata is null") == 3)
    }
  }

  @Test(arguments: Obstacle.allCases)
  func `a product with an obstacle is skipped and delays no other`(obstacle: Obstacle) async throws {
    try await withTwoProducts { checkout, pool in
      let reserve: @Sendable () async throws -> Void = {
        let servesTheFirstAlone = try await pool.integer("select (served = array[1])::integer from \(Self.call)")
        #expect(servesTheFirstAlone == 1)
      }
      let before = try await state(pool)[3...]
      if obstacle.isHeld {
        try await pool.holding(obstacle.rawValue) { _ in try await reserve() }
      } else {
        try await pool.run(obstacle.rawValue)
        try await reserve()
      }
      let after = try await state(pool)
      #expect(after[..<3] == [7, 4, 1])
      #expect(after[4] == before[4])
    }
  }

  @Test(.checkout) func `buyers of many products share a transaction, and each gets a result`() async throws {
    let (checkout, pool) = TestCheckout.current
    var products: [Product] = []
    for _ in 0..<20 {
      products.append(try await checkout.newProduct(stock: 3))
      _ = try await checkout.hold(1, of: products.last!)
    }
    // Each connection waits for another product. Later requests gather.
    let held = products[..<Pool.defaultSize].map(\.id)
    let (waiting, gathering) = try await pool.holding(
      "select from products where id <= \(held.max()!) for update"
    ) { [products] commit in
      let waiting = held.map { id in Task { try await checkout.reserveHold(productID: id, quantity: 1) } }
      try await pool.untilBlocked(Int64(held.count))
      let gathering = products[held.count...].flatMap { product in
        // Every second product gets requests for more units than it has.
        [1, product.id.isMultiple(of: 2) ? 1 : 2].map { quantity in
          Task {
            try await checkout.reserveHold(productID: product.id, quantity: quantity, customerID: "late")
          }
        }
      }
      let count = gathering.count
      try await until("the requests wait") {
        products.map({ checkout.waitingReservations(of: $0.id) }).reduce(0, +) >= count
      }
      try await commit()
      return (waiting, gathering)
    }
    for caller in waiting { #expect(try await !caller.value.isInsufficientStock) }
    for caller in gathering { _ = try await caller.value }
    let others = "product_id > \(held.max()!) and customer_id = 'late'"
    #expect(
      try await pool.integer("select count(distinct xmin::text) from holds where \(others) and product_id % 2 = 0")
        == 1)
    #expect(
      try await pool.integer("select count(*) from holds where \(others) and product_id % 2 = 0") == 12)
    #expect(
      try await pool.integer("select count(*) from holds where \(others) and product_id % 2 = 1") == 6)
    try await checkout.expectCleanAudit()
  }
}
