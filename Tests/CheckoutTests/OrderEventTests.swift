import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Each transition of an order adds one event, in its transaction.
@Suite struct OrderEventTests {
  @Test(.checkout) func `nothing is written while no endpoint wants it`() async throws {
    let (checkout, pool) = TestCheckout.current
    // It wants other types.
    try await checkout.subscribe("order.refunded")
    let product = try await checkout.newProduct(stock: 2)
    let paid = try await checkout.order(1, of: product)
    _ = try await checkout.pay(paid.id, key: "a")
    _ = try await checkout.pay(paid.id, key: "b")
    _ = try await checkout.pay(try await checkout.order(1, of: product).id, .failed, key: "c")
    _ = try await checkout.releaseHold(try await checkout.hold(1, of: product).id)
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -1))
    #expect(try await pool.integer("select count(*) from event_batches") == 0)
    #expect(try await pool.eventNames().isEmpty)
    #expect(try await pool.integer("select sum(version) from orders") == 0)
    #expect(try await pool.integer("select version from products") == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an order that is placed and paid has two events`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 2))
    _ = try await checkout.pay(order.id, key: "a")
    _ = try await checkout.pay(order.id, key: "a")
    _ = try await checkout.pay(order.id, .failed, key: "b")
    #expect(try await pool.eventNames() == ["order.placed 1", "order.paid 2"])
    #expect(try await pool.events().allSatisfy { $0.objectID == order.id.orderText })
    #expect(try await pool.integer("select version from orders") == 2)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an event has the order as it is after the change`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let product = try await checkout.newProduct(stock: 5)
    let outcome = try await checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada")
    guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome)") }
    let order = try await checkout.order(hold)
    _ = try await checkout.pay(order.id, key: "a")
    let (placed, paid) = (try await pool.events()[0], try await pool.events()[1])
    for event in [placed, paid] {
      #expect(try event.member("order_id") == order.id.orderText)
      #expect(try event.member("hold_id") == order.id.holdText)
      #expect(try event.member("product_id") == "\(product.id)")
      #expect(try event.member("customer_id") == "ada")
      #expect(try event.member("quantity") == "2")
      #expect(try event.member("amount") == "200")
      #expect(try event.member("currency") == "USD")
      #expect(try event.member("refunded_amount") == "0")
      #expect(try event.member("dispute") == nil && event.data.contains("\"dispute\": null"))
      #expect(event.data.contains("\"metadata\": {}"))
      #expect(try event.member("version") == "\(event.version)")
    }
    #expect(try placed.member("status") == "pending_payment" && paid.member("status") == "paid")
    #expect(try placed.member("paid_at") == nil)
    // The times are those of the row, in UTC with milliseconds.
    for (name, column) in [("created_at", "created_at"), ("payment_due_at", "payment_due_at"), ("paid_at", "paid_at")] {
      let text = try #require(try paid.member(name))
      #expect(text.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
      #expect(
        try await pool.integer(
          "select count(*) from orders where date_trunc('milliseconds', \(column)) = '\(text)'::timestamptz") == 1)
    }
  }

  @Test(.checkout) func `a failure adds order.cancelled, and a late success order.paid`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 2))
    _ = try await checkout.pay(order.id, .failed, key: "a")
    #expect(try await checkout.pay(order.id, key: "b") == .decided(.reacquired, orderStatus: .paid, isReplay: false))
    #expect(try await pool.eventNames() == ["order.placed 1", "order.cancelled 2", "order.paid 3"])
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a parked success adds order.paid after order.placed`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 2))
    _ = try await checkout.pay(hold.id, key: "a")
    _ = try await checkout.pay(hold.id, key: "b")
    #expect(try await pool.eventNames().isEmpty)
    _ = try await checkout.order(hold)
    #expect(try await pool.eventNames() == ["order.placed 1", "order.paid 2", "refund.due 1"])
    let events = try await pool.events()
    #expect(try events.map { try $0.member("status") } == ["pending_payment", "paid", "success"])
    #expect(events[2].objectID == "b")
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an order that expires adds order.expired`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 2))
    try await pool.run(
      """
      update orders set payment_due_at = clock_timestamp();
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'expire_orders';
      """)
    try await until("the order has expired") { try await checkout.order(order.id)?.status == .expired }
    #expect(try await pool.eventNames() == ["order.placed 1", "order.expired 2"])
    #expect(try await pool.events()[1].member("status") == "expired")
    try await checkout.expectCleanAudit()
  }

  /// The events are dispatched when the order has changed again.
  @Test(.checkout) func `an event that is dispatched late has the order as it was`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 2))
    _ = try await checkout.pay(order.id, .failed, key: "a")
    _ = try await checkout.pay(order.id, key: "b")
    try await pool.run("update orders set refunded_amount = 1")
    let events = try await pool.events()
    #expect(try events.map { try $0.member("status") } == ["pending_payment", "cancelled", "paid"])
    #expect(try events.map { try $0.member("paid_at") == nil } == [true, true, false])
    #expect(try events.allSatisfy { try $0.member("refunded_amount") == "0" })
    #expect(try events.map { try $0.member("version") } == ["1", "2", "3"])
  }

  @Test(.checkout) func `a batch is one row, whatever the number of its events`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.placed")
    let product = try await checkout.newProduct(stock: 20)
    for _ in 1...20 { _ = try await checkout.hold(1, of: product) }
    try await pool.run(
      "select place_orders(\(product.id), (select array_agg(id) from holds), null, 900000000)")
    #expect(try await pool.integer("select count(*) from event_batches") == 1)
    #expect(try await pool.events().count == 20)
    #expect(try await pool.integer("select count(*) from event_batches") == 0)
    try await checkout.expectCleanAudit()
  }

  /// Only wanted events count, so a receiver of one type sees versions without a gap.
  @Test(.checkout) func `versions count the events that are wanted`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.paid")
    let product = try await checkout.newProduct(stock: 2)
    let order = try await checkout.order(1, of: product)
    _ = try await checkout.pay(order.id, .failed, key: "a")
    _ = try await checkout.pay(order.id, key: "b")
    #expect(try await pool.eventNames() == ["order.paid 1"])
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `money that is due or does not fit adds an event`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("refund.due", "payment.mismatched")
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 2))
    let key = #"a "quoted" \key"#
    _ = try await checkout.pay(order.id, key: "wrong", amount: 1, currency: "USD")
    _ = try await checkout.pay(order.id, key: "right")
    _ = try await checkout.pay(order.id, key: key, amount: 100, currency: "USD")
    _ = try await checkout.pay(order.id, key: key, amount: 100, currency: "USD")
    #expect(try await pool.eventNames() == ["payment.mismatched 1", "refund.due 1"])
    let due = try await pool.events()[1]
    #expect(due.objectID == key)
    #expect(try due.member("idempotency_key") == key && due.member("order_id") == order.id.orderText)
    #expect(try due.member("verdict") == "refund_due" && due.member("order_status") == "paid")
    #expect(try due.member("amount") == "100" && due.member("currency") == "USD")
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a parked success whose order never comes adds refund.due`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 2))
    _ = try await checkout.pay(hold.id, key: "a")
    try await pool.run(
      """
      update payment_events set received_at = clock_timestamp() - interval '31 days';
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old';
      """)
    try await until("the money is due") { try await pool.eventNames() == ["refund.due 1"] }
    #expect(try await pool.events()[0].member("order_status") == nil)
  }

  @Test(.checkout) func `a transaction that is rolled back has no event`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*", "hold.*")
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    try await pool.run("begin; select place_orders(product_id, array[id], null, 900000000) from holds; rollback")
    #expect(try await pool.eventNames() == ["hold.placed 1"])
    _ = try await checkout.order(hold)
    #expect(try await pool.eventNames(like: "order.%") == ["order.placed 1"])
    try await checkout.expectCleanAudit()
  }

  /// After a lost answer, a server runs its batch again with the same numbers.
  @Test(.checkout) func `a batch that runs again adds no second event`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*", "hold.*")
    let product = try await checkout.newProduct(stock: 2)
    let hold = try await checkout.hold(1, of: product)
    let released = try await checkout.hold(1, of: product)
    for _ in 1...2 {
      try await pool.run(
        """
        select place_orders(\(product.id), array['\(hold.id.uuid)'::uuid], null, 900000000, 7);
        select apply_payment_events(
          \(product.id), '{a}', array['\(hold.id.uuid)'::uuid], '{success}', '{null}', '{null}');
        select release_holds(\(product.id), array['\(released.id.uuid)'::uuid]);
        select void_holds(\(product.id), array['\(hold.id.uuid)', '\(released.id.uuid)']::uuid[]);
        """)
    }
    #expect(
      try await pool.eventNames() == [
        "hold.placed 1", "hold.placed 1", "order.placed 1", "order.paid 2", "hold.released 2",
      ])
    try await checkout.expectCleanAudit()
  }

  /// A batch that reads the product before an endpoint is created, and commits after that, decides once.
  @Test(.checkout) func `an endpoint that comes during a batch leaves versions and events equal`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 2)
    let hold = try await checkout.hold(1, of: product)
    try await pool.holding("select from ordered_stock for update") { commit in
      async let order = checkout.order(hold)
      try await pool.untilBlocked(1)
      try await checkout.subscribe("*")
      try await commit()
      _ = try await order
    }
    #expect(try await pool.integer("select version from orders") == 0)
    #expect(try await pool.eventNames().isEmpty)
    _ = try await checkout.pay(hold.id, key: "a")
    #expect(try await pool.eventNames() == ["order.paid 1"])
    try await checkout.expectCleanAudit()
  }
}
