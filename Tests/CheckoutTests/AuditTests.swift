import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct AuditTests {
  /// Faults in the data, each with the check that must find it.
  static let faults: [(sql: String, check: String)] = [
    ("update products set available_stock = available_stock + 1", "stock_is_conserved"),
    (
      "alter table products drop constraint products_available_stock_in_range; update products set available_stock = -1",
      "stock_is_in_range"
    ),
    ("update holds set status = 'ordered' where status = 'active'", "ordered_holds_have_their_order"),
    ("delete from holds where status = 'ordered'", "ordered_holds_have_their_order"),
    (
      "update orders set status = 'paid', paid_at = now() where status = 'pending_payment'",
      "paid_orders_have_one_payment"
    ),
    ("update orders set status = 'cancelled' where status = 'pending_payment'", "cancelled_orders_have_their_failure"),
    (
      "update payment_events set verdict = 'parked', order_status = null where idempotency_key = 'paid'",
      "no_event_waits_for_an_order_that_exists"
    ),
    (
      "update payment_events set verdict = 'parked', order_status = null where idempotency_key = 'back'",
      "no_refund_waits_for_a_decided_payment"
    ),
    ("update orders set refunded_amount = 20 where status = 'paid'", "refunds_add_up"),
    ("delete from refunds", "refunds_add_up"),
    ("update refunds set order_id = gen_random_uuid()", "refunds_add_up"),
    ("update orders set status = 'refunded' where status = 'paid'", "refunded_orders_have_no_money_left"),
    ("update orders set refunded_amount = 100 where status = 'paid'", "refunded_orders_have_no_money_left"),
    ("update orders set refunded_amount = 10 where status = 'pending_payment'", "refunded_orders_have_no_money_left"),
    ("update orders set is_restocked = true where status = 'paid'", "refunded_orders_have_no_money_left"),
    ("update ordered_stock set units = units + 1", "ordered_stock_is_counted"),
    (
      "insert into idempotency_keys values (1, 'k', '', 'reserve_hold', gen_random_uuid(), now())",
      "keys_lead_to_what_they_made"
    ),
    (
      "insert into idempotency_keys select product_id, 'k', 'ada', 'reserve_hold', id, now() from holds limit 1",
      "keys_lead_to_what_they_made"
    ),
    ("delete from scheduled_jobs where kind = 'expire_holds'", "every_hold_will_expire"),
    ("delete from scheduled_jobs where kind = 'expire_orders'", "every_unpaid_order_will_expire"),
  ]

  @Test(.checkout, arguments: faults)
  func `the audit finds each fault`(sql: String, check: String) async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    _ = try await checkout.hold(1, of: product)
    _ = try await checkout.order(1, of: product)
    let paid = try await checkout.order(1, of: product)
    _ = try await checkout.pay(paid.id, key: "paid")
    _ = try await checkout.pay(paid.id, .refund, key: "back", amount: 10, about: "paid")
    _ = try await checkout.pay(try await checkout.order(1, of: product).id, .failed, key: "failed")
    try await checkout.expectCleanAudit()
    try await pool.run(sql)
    let broken = try await checkout.audit().checks.filter { $0.violations > 0 }.map(\.name)
    #expect(broken.contains(check))
  }

  /// Faults of events and deliveries, each with the check that must find it. The product is young, so all of its events are
  /// known.
  static let eventFaults: [(sql: String, check: String)] = [
    ("delete from events where type = 'order.paid'", "orders_have_their_events"),
    ("delete from events where type = 'order.placed'", "orders_have_their_events"),
    ("update orders set version = version + 1", "orders_have_their_events"),
    ("update events set version = 7 where type = 'order.paid'", "orders_have_their_events"),
    (
      """
      insert into event_batches (product_id, type, created_at, versions, object_ids)
      select product_id, 'order.paid', now(), '{2}', array[id] from orders
      """, "orders_have_their_events"
    ),
    ("delete from events where type like 'product.%'", "products_have_their_events"),
    ("update products set version = version + 1", "products_have_their_events"),
    (
      """
      insert into events (product_id, id, type, object_id, version, created_at, data)
      select product_id, gen_random_uuid(), 'hold.expired', object_id, version, created_at, data from events
      where type = 'hold.released'
      """, "events_have_versions_of_their_own"
    ),
    ("delete from events where type = 'hold.released'", "deliveries_have_event_and_endpoint"),
    ("delete from webhook_endpoints", "deliveries_have_event_and_endpoint"),
  ]

  @Test(.checkout, arguments: eventFaults)
  func `the audit finds each fault of events`(sql: String, check: String) async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*", "hold.*")
    let product = try await checkout.newProduct(stock: 3)
    _ = try await checkout.releaseHold(try await checkout.hold(1, of: product).id)
    _ = try await checkout.pay(try await checkout.order(3, of: product).id, key: "paid")
    #expect(try await pool.integer("select version from products") == 1)
    _ = try await checkout.claim()
    try await checkout.expectCleanAudit()
    try await pool.run(sql)
    let broken = try await checkout.audit().checks.filter { $0.violations > 0 }.map(\.name)
    #expect(broken.contains(check))
  }

  /// Retention has removed the first events of old objects.
  @Test(.checkout) func `the audit knows that old events are gone`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    let product = try await checkout.newProduct(stock: 1)
    for _ in 1...3 {
      _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: 1))
    }
    _ = try await checkout.order(1, of: product)
    try await pool.run(
      """
      update admin_changes set changed_at = changed_at - interval '40 days';
      update orders set created_at = created_at - interval '40 days';
      delete from events where type like 'order.%' or version = 1;
      """)
    try await checkout.expectCleanAudit()
    try await pool.run("delete from events where version = 2")
    try await checkout.expectCleanAudit()
    try await pool.run("update products set version = version + 1")
    #expect(
      try await checkout.audit().checks.filter { $0.violations > 0 }.map(\.name) == ["products_have_their_events"])
  }
}
