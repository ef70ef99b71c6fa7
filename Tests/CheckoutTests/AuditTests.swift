import Checkout
import Postgres
import TestSupport
import Testing

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
}
