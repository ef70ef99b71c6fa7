import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Refunds that meet their payment, its settlement or their removal at the same moment.
@Suite struct ParkedRefundTests {
  /// An id for which no hold exists. So no lock on a hold or an order keeps its events apart.
  private static let nowhere = ReservationID(productID: 1, unixSecond: 1, random: 1)

  private static func call(_ key: String, _ id: ReservationID, _ status: String, _ paymentKey: String) -> String {
    "select apply_payment_events(1, '{\(key)}', '{\(id.uuidText)}', '{\(status)}', '{100}', '{null}', '{\(paymentKey)}')"
  }

  /// A worker's call for the product of the test.
  private static let removal = "remove_old(1, 100, 259200000000, 604800000000, 2592000000000)"

  /// Without the lock on the payment's key, the second would not see the first, and nothing would decide the refund.
  @Test(.checkout, arguments: [true, false])
  func `a refund and its payment wait for each other`(isPaymentFirst: Bool) async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.newProduct(stock: 1)
    let payment = Self.call("pay", Self.nowhere, "success", "null")
    let refund = Self.call("back", Self.nowhere, "refund", "pay")
    try await pool.holding(isPaymentFirst ? payment : refund) { commit in
      async let second: Void = pool.run(isPaymentFirst ? refund : payment)
      try await pool.untilBlocked(1)
      try await commit()
      try await second
    }
    let events = try await checkout.paymentEvents().events
    #expect(Set(events.map(\.verdict)) == [.refundDue, .settled])
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund that comes while its order is placed is applied`() async throws {
    let (checkout, pool) = TestCheckout.current
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    _ = try await checkout.pay(hold.id, key: "pay", amount: 100)
    let outcome = try await pool.holding(
      "select place_orders(product_id, array[id], null, 900000000) from holds"
    ) { commit in
      async let outcome = checkout.pay(hold.id, .refund, key: "back", amount: 40, about: "pay")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .decided(.applied, orderStatus: .paid, isReplay: false))
    try await checkout.expectCleanAudit()
  }

  /// Without the lock on the payment's key, the refund would read that the payment is not settled.
  @Test(.checkout) func `a payment is settled once, by an operator or by a refund`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    for key in ["pay", "twice"] { _ = try await checkout.pay(order.id, key: key) }
    let outcome = try await pool.holding("select settle_refund('twice')") { commit in
      async let outcome = checkout.pay(order.id, .refund, key: "back", amount: 100, about: "twice")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .decided(.ignored, orderStatus: .paid, isReplay: false))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout, arguments: [true, false])
  func `a refund of a payment that never pays is ignored`(isSettled: Bool) async throws {
    let (checkout, pool) = TestCheckout.current
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    _ = try await checkout.pay(hold.id, key: "pay", amount: 100)
    _ = try await checkout.pay(hold.id, .refund, key: "back", amount: 40, about: "pay")
    if isSettled {
      _ = try await checkout.settleRefund(idempotencyKey: "pay")
    } else {
      try await pool.run(
        """
        update payment_events set received_at = received_at - interval '31 days' where idempotency_key = 'pay';
        select \(Self.removal)
        """)
    }
    #expect(
      try await checkout.pay(hold.id, .refund, key: "back", amount: 40, about: "pay")
        == .decided(.ignored, orderStatus: nil, isReplay: true))
    #expect(try await checkout.order(hold).status == .pendingPayment)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund whose payment does not come is removed after 30 days`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    _ = try await checkout.pay(order.id, .refund, key: "old", amount: 40, about: "pay")
    try await pool.run("update payment_events set received_at = clock_timestamp() - interval '31 days'")
    _ = try await checkout.pay(order.id, .disputeOpen, key: "young", about: "pay")
    #expect(try await pool.integer("select removed from \(Self.removal)") == 1)
    #expect(try await checkout.paymentEvents().events.map(\.event.idempotencyKey) == ["young"])
    try await checkout.expectCleanAudit()
  }

  /// Without the lock on the payment's key, the payment would apply a refund that is gone when it commits.
  @Test(.checkout) func `a refund that is being removed is not applied`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    _ = try await checkout.pay(order.id, .refund, key: "old", amount: 40, about: "pay")
    try await pool.run("update payment_events set received_at = clock_timestamp() - interval '31 days'")
    let outcome = try await pool.holding("select \(Self.removal)") { commit in
      async let outcome = checkout.pay(order.id, key: "pay")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .decided(.applied, orderStatus: .paid, isReplay: false))
    #expect(try await pool.integer("select refunded_amount from orders") == 0)
    try await checkout.expectCleanAudit()
  }
}
