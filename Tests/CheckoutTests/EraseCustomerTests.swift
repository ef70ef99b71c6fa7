import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct EraseCustomerTests {
  private static let cart = Metadata([("cart", "7")])
  private static let pseudonym = "erased_0123456789abcdef0123456789abcdef"

  /// Places a hold with metadata.
  private func newHold(
    _ quantity: Int32 = 1, of product: Product, for customer: String = "lovelace", key: String? = nil
  ) async throws -> Hold {
    let outcome = try await TestCheckout.current.checkout.reserveHold(
      productID: product.id, quantity: quantity, customerID: customer, idempotencyKey: key, metadata: Self.cart)
    guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome)") }
    return hold
  }

  /// A product of which a customer may have five units.
  private func newProduct() async throws -> Product {
    try await TestCheckout.current.checkout.newProduct(
      CreateProduct(name: "Cap", price: 100, currency: "USD", stock: 10, maximumPerCustomer: 5))
  }

  /// The number of rows that still have the customer's id, in any table.
  private func traces(of customer: String = "lovelace", _ pool: Pool) async throws -> Int64 {
    try await pool.integer(
      """
      select (select count(*) from holds where customer_id = '\(customer)')
           + (select count(*) from idempotency_keys where customer_id = '\(customer)')
           + (select count(*) from events where data ->> 'customer_id' = '\(customer)')
           + (select count(*) from customer_erasures)
           + (select count(*) from admin_changes c where c::text like '%\(customer)%')
      """)
  }

  @Test(.checkout) func `an erasure replaces the id everywhere, and keeps states and sums`() async throws {
    let (checkout, pool) = TestCheckout.current
    let (product, other) = (try await newProduct(), try await checkout.newProduct(stock: 3))
    let ordered = try await newHold(2, of: product, key: "h")
    let placed = try await checkout.placeOrder(holdID: ordered.id, idempotencyKey: "o")
    guard case .placed(let order, false) = placed else { throw Unexpected("\(placed)") }
    _ = try await checkout.pay(order.id, key: "p")
    let active = try await newHold(of: product)
    _ = try await checkout.releaseHold(newHold(of: product).id)
    _ = try await newHold(of: other)
    let bob = try await newHold(of: product, for: "bob", key: "h")
    try await pool.run(
      """
      update orders set version = 1;
      select add_order_events(\(product.id), array(select id from orders), 'order.placed');
      select add_event_batch(product_id, 'hold.placed', array_agg(id), array_agg(1)) from holds
      where product_id = \(product.id)
      group by product_id;
      """)

    let erased = try #require(try await EraseCustomer(customerID: "lovelace").run(on: pool))
    #expect(erased.pseudonym.wholeMatch(of: /erased_[0-9a-f]{32}/) != nil)
    #expect(
      erased
        == EraseCustomer.Erased(pseudonym: erased.pseudonym, holds: 4, orders: 1, idempotencyKeys: 2, events: 4))
    #expect(try await traces(pool) == 0)
    #expect(try await pool.integer("select count(*) from holds where customer_id = '\(erased.pseudonym)'") == 4)
    let entries = "select count(*) from admin_changes where new_values ->> 'pseudonym' = '\(erased.pseudonym)'"
    #expect(try await pool.integer(entries) == 1)
    #expect(try await checkout.hold(active.id)?.status == .active)
    #expect(try await checkout.hold(active.id)?.metadata == nil)
    #expect(try await checkout.order(order.id)?.status == .paid)
    #expect(try await checkout.order(order.id)?.metadata == nil)
    #expect(try await pool.integer("select count(*) from events where data -> 'metadata' <> '{}'") == 1)
    #expect(try await checkout.hold(bob.id)?.metadata == Self.cart)
    #expect(try await checkout.availableStock(product) == 6)
    // The key of the order still leads to it. The customer starts from zero.
    let again = try await checkout.placeOrder(holdID: ordered.id, idempotencyKey: "o")
    guard case .placed(_, true) = again else { throw Unexpected("\(again)") }
    _ = try await newHold(5, of: product)
    try await checkout.expectCleanAudit()
  }

  /// Retention removes a hold after a week, and its events after 30 days.
  @Test(.checkout) func `the events of a hold that retention has removed lose the id`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("hold.*")
    let hold = try await newHold(of: try await newProduct())
    _ = try await checkout.releaseHold(hold.id)
    #expect(try await pool.eventNames() == ["hold.placed 1", "hold.released 2"])
    try await pool.run("delete from holds")
    let erased = try await EraseCustomer(customerID: "lovelace").run(on: pool)
    #expect(erased?.holds == 0 && erased?.events == 2)
    #expect(try await traces(pool) == 0)
    #expect(try await pool.integer("select count(*) from events where data -> 'metadata' <> '{}'") == 0)
    try await checkout.expectCleanAudit()
  }

  /// A long queue has more events than a step could dispatch within the time limit of a statement.
  @Test(.checkout) func `an erasure dispatches only batches with events of the customer`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("hold.*")
    let product = try await newProduct()
    _ = try await newHold(of: product)
    _ = try await newHold(of: product, for: "bob")
    #expect(try await EraseCustomer(customerID: "lovelace").run(on: pool)?.events == 1)
    #expect(try await pool.integer("select count(*) from event_batches") == 1)
    _ = try await pool.events()
    #expect(try await traces(pool) == 0)
    #expect(try await pool.integer("select count(*) from events where data ->> 'customer_id' = 'bob'") == 1)
  }

  /// The first run ended after a step. What it replaced counts, too.
  @Test(.checkout) func `an erasure that was interrupted goes on under the same pseudonym`() async throws {
    let (checkout, pool) = TestCheckout.current
    let products = [try await newProduct(), try await newProduct()]
    for product in products { _ = try await newHold(of: product, key: "h") }
    try await pool.run(
      """
      select begin_erasure('lovelace', '\(Self.pseudonym)');
      select erase_customer(\(products[0].id), 'lovelace', null, null, 100);
      """)
    let erased = try await EraseCustomer(customerID: "lovelace").run(on: pool)
    #expect(
      erased
        == EraseCustomer.Erased(pseudonym: Self.pseudonym, holds: 2, orders: 0, idempotencyKeys: 2, events: 0))
    #expect(try await traces(pool) == 0)
    #expect(try await EraseCustomer(customerID: "lovelace").run(on: pool)?.holds == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a step replaces at most as many holds as its limit`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    for number in 1...6 {
      let hold = try await newHold(of: product)
      if number > 3 { _ = try await checkout.releaseHold(hold.id) }
    }
    // Holds that lapse at the same moment would share a step.
    try await pool.run(
      """
      update holds h set expires_at = h.expires_at + n.n * interval '1 second'
      from (select id, row_number() over (order by id) as n from holds) n
      where n.id = h.id;
      select begin_erasure('lovelace', '\(Self.pseudonym)');
      do $$
      declare
          after    timestamptz;
          after_id uuid;
          before   bigint := 6;
          now_left bigint;
      begin
          loop
              select s.next_after, s.next_id into after, after_id
              from erase_customer(\(product.id), 'lovelace', after, after_id, 1) s;
              select count(*) into now_left from holds where customer_id = 'lovelace';
              assert now_left >= before - 1, 'a step was too large';
              before := now_left;
              exit when after is null and after_id is null;
          end loop;
          assert now_left = 0, 'holds are left';
      end
      $$
      """)
  }

  @Test(.checkout) func `a hold that was begun before a step is replaced`() async throws {
    let pool = TestCheckout.current.pool
    let product = try await newProduct()
    let eraser = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    let erased = try await pool.holding(
      "select reserve_holds(\(product.id), array[gen_random_uuid()], '{1}', 60000000, null, '{lovelace}', '{1}')"
    ) { commit in
      async let erased = EraseCustomer(customerID: "lovelace").run(on: eraser)
      try await pool.untilBlocked(1)
      try await commit()
      return try await erased
    }
    #expect(erased?.holds == 1)
    #expect(try await traces(pool) == 0)
    await eraser.close()
  }

  /// Holds of several products are made in one transaction, by a function of their own.
  @Test(.checkout) func `holds of several products that were begun before a step are replaced`() async throws {
    let (checkout, pool) = TestCheckout.current
    // Each product has a job that expires holds.
    for _ in 1...2 { _ = try await checkout.hold(1, of: try await checkout.newProduct(stock: 5)) }
    let eraser = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    let erased = try await pool.holding(
      """
      select reserve_holds_together(
          '{1, 2}', array[gen_random_uuid(), gen_random_uuid()], '{1, 1}', 600000000, null, '{lovelace, lovelace}')
      """
    ) { commit in
      async let erased = EraseCustomer(customerID: "lovelace").run(on: eraser)
      try await pool.untilBlocked(1)
      try await commit()
      return try await erased
    }
    #expect(erased?.holds == 2)
    #expect(try await traces(pool) == 0)
    await eraser.close()
  }

  /// The order is placed after the step has looked for it, from a hold that still has its metadata.
  @Test(.checkout) func `an order that is placed meanwhile loses its metadata`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await newProduct()
    let hold = try await newHold(of: product)
    let eraser = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    let erased = try await pool.holding(
      "select place_orders(\(product.id), array['\(hold.id.uuidText)'::uuid], '{o}', 60000000)"
    ) { commit in
      async let erased = EraseCustomer(customerID: "lovelace").run(on: eraser)
      try await pool.untilBlocked(1)
      try await commit()
      return try await erased
    }
    #expect(erased?.orders == 1 && erased?.idempotencyKeys == 1)
    #expect(try await checkout.order(hold.id)?.metadata == nil)
    #expect(try await traces(pool) == 0)
    try await checkout.expectCleanAudit()
    await eraser.close()
  }

  /// Between two steps, a buyer used the key of one hold for another hold, which already had the pseudonym.
  @Test(.checkout) func `a key that both names have is kept once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await newProduct()
    let (one, other) = (try await newHold(of: product, key: "one"), try await newHold(of: product, key: "other"))
    for hold in [one, other] {
      let placed = try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "o\(hold.id.uuidText)")
      guard case .placed = placed else { throw Unexpected("\(placed)") }
    }
    try await pool.run(
      """
      select begin_erasure('lovelace', '\(Self.pseudonym)');
      update holds set customer_id = '\(Self.pseudonym)' where id = '\(other.id.uuidText)';
      update idempotency_keys set customer_id = '\(Self.pseudonym)' where hold_id = '\(other.id.uuidText)';
      update idempotency_keys set key = 'o' where operation = 'place_order';
      """)
    _ = try await EraseCustomer(customerID: "lovelace").run(on: pool)
    #expect(try await traces(pool) == 0)
    #expect(try await pool.integer("select count(*) from idempotency_keys where key = 'o'") == 1)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `two erasures of a customer use one pseudonym`() async throws {
    let (checkout, pool) = TestCheckout.current
    for _ in 1...5 { _ = try await newHold(of: try await newProduct()) }
    let pools = [1, 2].map { _ in Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1) }
    async let first = EraseCustomer(customerID: "lovelace").run(on: pools[0])
    async let second = EraseCustomer(customerID: "lovelace").run(on: pools[1])
    let erased = try await [first, second].compactMap(\.self)
    #expect(erased.map(\.holds).reduce(0, +) == 5)
    #expect(try await traces(pool) == 0)
    #expect(try await pool.integer("select count(distinct customer_id) from holds") == 1)
    for pool in pools { await pool.close() }
    try await checkout.expectCleanAudit()
  }
}
