import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct RetentionTests {
  /// The database has old rows of each kind, and rows that must stay.
  @Test(.checkout) func `old rows are removed and all others stay`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100)
    let lapsed = try await checkout.hold(1, of: product, idempotencyKey: "old")
    let released = try await checkout.hold(1, of: product)
    _ = try await checkout.releaseHold(released.id)
    let keyed = try await checkout.hold(1, of: product, idempotencyKey: "young")
    _ = try await checkout.releaseHold(keyed.id)
    let ordered = try await checkout.order(1, of: product)
    let active = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(active.id, key: "parked")
    _ = try await checkout.pay(lapsed.id, .failed, key: "forgotten")
    _ = try await checkout.pay(lapsed.id, key: "money")
    try await pool.run(
      """
      update holds set status = 'expired' where id = '\(lapsed.id.uuidText)';
      update products set available_stock = available_stock + 1;
      update holds set expires_at = clock_timestamp() - interval '8 days'
      where status in ('released', 'expired', 'ordered');
      update idempotency_keys set created_at = clock_timestamp() - interval '73 hours' where key = 'old';
      update payment_events set received_at = clock_timestamp() - interval '31 days'
      where idempotency_key in ('forgotten', 'money');
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old';
      """)
    try await until("the old holds are gone") {
      let lapsedHold = try await checkout.hold(lapsed.id)
      let releasedHold = try await checkout.hold(released.id)
      return lapsedHold == nil && releasedHold == nil
    }
    #expect(try await checkout.hold(keyed.id)?.status == .released)
    #expect(try await checkout.hold(ordered.id)?.status == .ordered)
    #expect(try await checkout.hold(active.id)?.status == .active)
    #expect(try await pool.integer("select count(*) from idempotency_keys where key = 'old'") == 0)
    #expect(try await checkout.paymentEvents(verdict: .parked).events.map(\.event.idempotencyKey) == ["parked"])
    #expect(try await checkout.paymentEvents(verdict: .refundDue).events.map(\.event.idempotencyKey) == ["money"])
    #expect(try await pool.integer("select count(*) from payment_events") == 2)
    try await until("the next removal is in the future") {
      try await pool.integer(
        "select count(*) from scheduled_jobs where kind = 'remove_old' and run_at > clock_timestamp()") == 1
    }
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an event for an unknown product is removed, too`() async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.pay(ReservationID(productID: 1, unixSecond: 1, random: 1), .failed, key: "k")
    try await pool.run(
      """
      update payment_events set received_at = clock_timestamp() - interval '31 days';
      update scheduled_jobs set run_at = clock_timestamp();
      """)
    try await until("it is removed") { try await pool.integer("select count(*) from payment_events") == 0 }
    #expect(try await checkout.newProduct(stock: 1).id == 1)
    try await checkout.expectCleanAudit()
  }

  @Test(.database) func `a short retention removes a key and its hold`() async throws {
    let url = TestDatabase.url
    var retention = Retention()
    retention.idempotencyKeys = .milliseconds(300)
    retention.holds = .milliseconds(100)
    try await withCheckout(on: url, holdTimeToLive: .milliseconds(100), retention: retention) { checkout, pool in
      let product = try await checkout.newProduct(stock: 1)
      let hold = try await checkout.hold(1, of: product, idempotencyKey: "k")
      try await pool.run("update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old'")
      try await until("the hold is gone") { try await checkout.hold(hold.id) == nil }
      let again = try await checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k")
      guard case .held(let other, false) = again else { throw Unexpected("\(again)") }
      #expect(other.id != hold.id)
    }
  }

  /// An order is placed while retention removes its parked event. The event is either applied or removed.
  @Test(.checkout) func `a parked event that is being removed is not applied`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    let hold = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(hold.id, key: "k")
    let placed = try await pool.holding("delete from payment_events") { commit in
      async let placed = checkout.placeOrder(holdID: hold.id)
      try await pool.untilBlocked(1)
      try await commit()
      return try await placed
    }
    guard case .placed(let order, false) = placed else { throw Unexpected("\(placed)") }
    #expect(order.status == .pendingPayment)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `events of 30 days ago are removed with their deliveries, unless they are still sent`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let product = try await checkout.newProduct(stock: 4)
    for _ in 1...3 { _ = try await checkout.order(1, of: product) }
    let claim = try await checkout.claim()
    try await checkout.recordDeliveries(
      [
        DeliveryResult(of: claim.deliveries[0], statusCode: 200),
        DeliveryResult(of: claim.deliveries[1], statusCode: 500),
      ],
      leaseID: claim.leaseID)
    let young = claim.deliveries[2].eventID
    try await pool.run(
      """
      update orders set created_at = clock_timestamp() - interval '31 days';
      update events set created_at = clock_timestamp() - interval '31 days' where id <> '\(young)';
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old';
      """)
    try await until("an event is gone") { try await pool.integer("select count(*) from events") == 2 }
    #expect(try await pool.integer("select count(*) from events where id = '\(claim.deliveries[0].eventID)'") == 0)
    #expect(try await pool.integer("select count(*) from deliveries") == 2)
    try await checkout.expectCleanAudit()
    // At an endpoint that is disabled, a delivery waits no longer than its event is kept.
    try await pool.run(
      """
      update webhook_endpoints set status = 'disabled', disabled_reason = 'failing';
      update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old';
      """)
    try await until("the next event is gone") { try await pool.integer("select count(*) from events") == 1 }
    #expect(try await pool.integer("select count(*) from events where id = '\(young)'") == 1)
    try await checkout.expectCleanAudit()
  }
}
