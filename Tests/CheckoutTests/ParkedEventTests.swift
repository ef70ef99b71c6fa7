import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Payment events whose order does not exist. A success is money, so it is never removed.
@Suite struct ParkedEventTests {
  private func withParked(
    _ status: PaymentEvent.Status = .success, retention: Retention = Retention(),
    _ body: @escaping @Sendable (Checkout, Pool, Hold) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url, retention: retention) { checkout, pool in
        let hold = try await checkout.hold(1, of: checkout.newProduct(stock: 5))
        #expect(
          try await checkout.pay(hold.id, status, key: "k") == .decided(.parked, orderStatus: nil, isReplay: false))
        try await body(checkout, pool, hold)
        try await checkout.expectCleanAudit()
      }
    }
  }

  private static let refundDue = ApplyPaymentEvent.Outcome.decided(.refundDue, orderStatus: nil, isReplay: true)

  private static let oldEvents = "update payment_events set received_at = clock_timestamp() - interval '31 days'"

  /// A worker's call for the product of the test.
  private static let removal = "remove_old(1, 100, 259200000000, 604800000000, 2592000000000)"

  @Test func `a parked success whose order does not come becomes refund_due`() async throws {
    var retention = Retention()
    retention.parkedEvents = .milliseconds(300)
    try await withParked(retention: retention) { checkout, pool, hold in
      try await pool.run("update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old'")
      try await until("it is refund_due") { try await checkout.paymentEvents(verdict: .refundDue).events.count == 1 }
      #expect(try await checkout.pay(hold.id, key: "k") == Self.refundDue)
      // It is never applied, because the money is being refunded.
      #expect(try await checkout.order(hold).status == .pendingPayment)
      #expect(try await checkout.pay(hold.id, key: "k") == Self.refundDue)
      #expect(try await checkout.settleRefund(idempotencyKey: "k")?.settledAt != nil)
    }
  }

  @Test func `a settled parked success is never applied`() async throws {
    try await withParked { checkout, pool, hold in
      let settled = try #require(try await checkout.settleRefund(idempotencyKey: "k"))
      #expect(settled.verdict == .refundDue && settled.orderStatus == nil && settled.settledAt != nil)
      #expect(try await checkout.settleRefund(idempotencyKey: "k")?.settledAt == settled.settledAt)
      #expect(try await checkout.order(hold).status == .pendingPayment)
      #expect(try await checkout.pay(hold.id, key: "k") == Self.refundDue)
      // Another payment still pays the order.
      #expect(try await checkout.pay(hold.id, key: "second") == .decided(.applied, orderStatus: .paid, isReplay: false))
    }
  }

  @Test func `a parked failure cannot be settled`() async throws {
    try await withParked(.failed) { checkout, _, _ in
      let event = try await checkout.settleRefund(idempotencyKey: "k")
      #expect(event?.verdict == .parked && event?.settledAt == nil)
    }
  }

  @Test(arguments: [true, false])
  func `a parked success is either applied or settled`(isSettledFirst: Bool) async throws {
    try await withParked { checkout, pool, hold in
      let settle = "select settle_refund('k')"
      let place = "select place_orders(product_id, array[id], null, 900000000) from holds"
      try await pool.holding(isSettledFirst ? settle : place) { commit in
        async let second: Void = pool.run(isSettledFirst ? place : settle)
        try await pool.untilBlocked(1)
        try await commit()
        try await second
      }
      let event = try #require(try await checkout.paymentEvents().events.first)
      #expect(event.verdict == (isSettledFirst ? .refundDue : .applied))
      #expect((event.settledAt != nil) == isSettledFirst)
      #expect(try await checkout.order(hold.id)?.status == (isSettledFirst ? .pendingPayment : .paid))
    }
  }

  @Test func `an old parked failure is removed`() async throws {
    try await withParked(.failed) { _, pool, _ in
      try await pool.run(Self.oldEvents)
      #expect(try await pool.integer("select removed from \(Self.removal)") == 1)
      #expect(try await pool.integer("select count(*) from payment_events") == 0)
    }
  }

  /// The response to the replay must not come from a row that is being removed:
  ///
  ///     removal: deletes the event, has not committed
  ///     replay:  finds the event, responds "parked"
  ///     removal: commits
  @Test func `a replay waits for the removal of its event and is parked again`() async throws {
    try await withParked(.failed) { checkout, pool, hold in
      try await pool.run(Self.oldEvents)
      let outcome = try await pool.holding("select \(Self.removal)") { commit in
        async let outcome = checkout.pay(hold.id, .failed, key: "k")
        try await pool.untilBlocked(1)
        try await commit()
        return try await outcome
      }
      #expect(outcome == .decided(.parked, orderStatus: nil, isReplay: false))
      #expect(try await pool.integer("select count(*) from payment_events") == 1)
      #expect(try await checkout.order(hold).status == .cancelled)
    }
  }

  @Test func `an event that is being replayed is not removed`() async throws {
    try await withParked(.failed) { checkout, pool, hold in
      try await pool.run(Self.oldEvents)
      let again = """
        select apply_payment_events(1, '{k}', '{\(hold.id.uuidText)}', '{failed}', '{null}', '{null}')
        """
      let removed = try await pool.holding(again) { _ in
        try await pool.integer("select removed from \(Self.removal)")
      }
      #expect(removed == 0)
      // Its retention starts again with the replay.
      #expect(try await pool.integer("select removed from \(Self.removal)") == 0)
      #expect(try await checkout.order(hold).status == .cancelled)
    }
  }

  /// Another transaction locks the event to place its order, and is rolled back, so the event stays parked. The replay must
  /// record its time in the event, and the lock prevents that.
  @Test func `a replay that cannot be recorded fails with a conflict`() async throws {
    try await withParked(.failed) { checkout, pool, hold in
      try await pool.run(Self.oldEvents)
      let error = try await pool.holding("select from payment_events for update") { _ in
        await #expect(throws: CheckoutError.self) { _ = try await checkout.pay(hold.id, .failed, key: "k") }
      }
      guard case .conflict? = error else { throw Unexpected("\(String(describing: error))") }
      #expect(try await checkout.pay(hold.id, .failed, key: "k") == .decided(.parked, orderStatus: nil, isReplay: true))
      #expect(try await pool.integer("select removed from \(Self.removal)") == 0)
    }
  }

  /// Otherwise the servers' role could remove money and keys with a retention of zero.
  @Test(.checkout) func `a server cannot shorten retention below the owner's minimum`() async throws {
    let (checkout, pool) = TestCheckout.current
    let url = TestDatabase.url
    try await pool.run("delete from minimum_retention; insert into minimum_retention default values")
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product, idempotencyKey: "k")
    _ = try await checkout.releaseHold(hold.id)
    _ = try await checkout.pay(hold.id, key: "parked")
    try await pool.run(
      """
      update scheduled_jobs set run_at = clock_timestamp();
      update holds set expires_at = clock_timestamp() - interval '50 minutes';
      update idempotency_keys set created_at = clock_timestamp() - interval '50 minutes';
      update payment_events set received_at = clock_timestamp() - interval '50 minutes'
      """)
    let server = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
    try await server.run("select flashsale.run_due_jobs(true, 100, 0, 0, 0)")
    await server.close()
    #expect(try await pool.integer("select count(*) from idempotency_keys") == 1)
    #expect(try await checkout.hold(hold.id) != nil)
    #expect(try await checkout.paymentEvents().events.map(\.verdict) == [.parked])
  }
}
