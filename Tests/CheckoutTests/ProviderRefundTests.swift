import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Refunds of which the payment provider's events tell. Each is about one payment.
@Suite struct ProviderRefundTests {
  private typealias Outcome = ApplyPaymentEvent.Outcome

  private static func decided(
    _ verdict: PaymentEvent.Verdict, _ status: Order.Status?, isReplay: Bool = false
  ) -> Outcome {
    .decided(verdict, orderStatus: status, isReplay: isReplay)
  }

  /// An order of one unit for 100, paid under the key "pay".
  private static func paidOrder() async throws -> Order {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 10))
    #expect(try await checkout.pay(order.id, key: "pay") == decided(.applied, .paid))
    return order
  }

  /// A refund of the payment "pay".
  private static func refund(
    _ id: ReservationID, _ amount: Int64, key: String, status: PaymentEvent.Status = .refund,
    about payment: String = "pay"
  ) async throws -> Outcome {
    try await TestCheckout.current.checkout.pay(id, status, key: key, amount: amount, about: payment)
  }

  private static func refundedAmount() async throws -> Int64 {
    try await TestCheckout.current.pool.integer("select sum(refunded_amount) from orders")
  }

  @Test(.checkout) func `single refunds add up`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await Self.paidOrder()
    #expect(try await Self.refund(order.id, 40, key: "a") == Self.decided(.applied, .paid))
    #expect(try await Self.refundedAmount() == 40)
    #expect(try await Self.refund(order.id, 60, key: "b") == Self.decided(.applied, .refunded))
    #expect(try await checkout.order(order.id)?.status == .refunded)
    #expect(try await pool.integer("select count(*) from refunds where source = 'provider'") == 2)
    // The provider does not know whether the units came back.
    #expect(try await pool.integer("select available_stock from products") == 9)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `totals are not added up`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    func total(_ amount: Int64, _ key: String) async throws -> Outcome {
      try await Self.refund(order.id, amount, key: key, status: .refundedTotal)
    }
    #expect(try await total(40, "a") == Self.decided(.applied, .paid))
    #expect(try await total(40, "b") == Self.decided(.ignored, .paid))
    #expect(try await total(70, "c") == Self.decided(.applied, .paid))
    // This one came late.
    #expect(try await total(50, "d") == Self.decided(.ignored, .paid))
    #expect(try await Self.refundedAmount() == 70)
    #expect(try await total(100, "e") == Self.decided(.applied, .refunded))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `totals, single refunds and an operator's records describe the same money`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    guard case .refunded = try await checkout.refund(order.id, 30, key: "operator") else { throw Unexpected("refused") }
    #expect(try await Self.refund(order.id, 30, key: "a") == Self.decided(.ignored, .paid))
    #expect(try await Self.refund(order.id, 30, key: "b", status: .refundedTotal) == Self.decided(.ignored, .paid))
    // The sum counts the refund that added nothing.
    #expect(try await Self.refund(order.id, 20, key: "c") == Self.decided(.applied, .paid))
    #expect(try await Self.refundedAmount() == 50)
    #expect(try await checkout.refund(order.id, 51, key: "more") == .refundTooLarge(left: 50))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund above what was paid refunds only what was paid`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    #expect(try await Self.refund(order.id, 130, key: "a") == Self.decided(.applied, .refunded))
    #expect(try await Self.refundedAmount() == 100)
    #expect(try await Self.refund(order.id, 10, key: "b") == Self.decided(.ignored, .refunded))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a repeat of a refund is a replay, or refused with another payload`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    _ = try await Self.refund(order.id, 40, key: "a")
    #expect(try await Self.refund(order.id, 40, key: "a") == Self.decided(.applied, .paid, isReplay: true))
    #expect(try await Self.refund(order.id, 41, key: "a") == .keyReused)
    #expect(try await Self.refund(order.id, 40, key: "a", status: .refundedTotal) == .keyReused)
    #expect(try await Self.refund(order.id, 40, key: "a", about: "other") == .keyReused)
    #expect(try await Self.refund(order.id, 40, key: "pay") == .keyReused)
    #expect(try await Self.refundedAmount() == 40)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund in another currency is a mismatch, and does not count`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    #expect(
      try await checkout.pay(order.id, .refund, key: "a", amount: 40, currency: "EUR", about: "pay")
        == Self.decided(.amountMismatch, .paid))
    #expect(try await Self.refund(order.id, 10, key: "b") == Self.decided(.applied, .paid))
    #expect(try await Self.refundedAmount() == 10)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund before its payment is applied with the payment`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 10))
    #expect(try await Self.refund(order.id, 40, key: "a") == Self.decided(.parked, nil))
    #expect(try await checkout.order(order.id)?.status == .pendingPayment)
    #expect(try await checkout.pay(order.id, key: "pay") == Self.decided(.applied, .paid))
    #expect(try await Self.refund(order.id, 40, key: "a") == Self.decided(.applied, .paid, isReplay: true))
    #expect(try await Self.refundedAmount() == 40)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout, arguments: [true, false])
  func `a refund before its order is applied when the order is placed`(isPaymentFirst: Bool) async throws {
    let checkout = TestCheckout.current.checkout
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 10))
    if isPaymentFirst { _ = try await checkout.pay(hold.id, key: "pay", amount: 100) }
    #expect(try await Self.refund(hold.id, 40, key: "a") == Self.decided(.parked, nil))
    if !isPaymentFirst { _ = try await checkout.pay(hold.id, key: "pay", amount: 100) }
    #expect(try await checkout.order(hold).status == .paid)
    #expect(try await Self.refund(hold.id, 40, key: "a") == Self.decided(.applied, .paid, isReplay: true))
    #expect(try await Self.refundedAmount() == 40)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `refunds that cover a parked payment settle it, and it is never applied`() async throws {
    let checkout = TestCheckout.current.checkout
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 10))
    _ = try await checkout.pay(hold.id, key: "pay", amount: 100)
    #expect(try await Self.refund(hold.id, 40, key: "a") == Self.decided(.parked, nil))
    #expect(try await Self.refund(hold.id, 60, key: "b") == Self.decided(.settled, nil))
    #expect(try await Self.refund(hold.id, 40, key: "a") == Self.decided(.ignored, nil, isReplay: true))
    #expect(try await checkout.pay(hold.id, key: "pay", amount: 100) == Self.decided(.refundDue, nil, isReplay: true))
    #expect(try await checkout.paymentEvents(verdict: .refundDue).events.first?.settledAt != nil)
    #expect(try await checkout.order(hold).status == .pendingPayment)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund of a second payment settles it and leaves the order alone`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    #expect(try await checkout.pay(order.id, key: "twice") == Self.decided(.refundDue, .paid))
    #expect(try await Self.refund(order.id, 40, key: "a", about: "twice") == Self.decided(.ignored, .paid))
    #expect(try await checkout.paymentEvents(verdict: .refundDue).events.first?.settledAt == nil)
    #expect(try await Self.refund(order.id, 60, key: "b", about: "twice") == Self.decided(.settled, .paid))
    #expect(try await checkout.paymentEvents(verdict: .refundDue).events.first?.settledAt != nil)
    #expect(try await Self.refundedAmount() == 0)
    #expect(
      try await Self.refund(order.id, 100, key: "c", status: .refundedTotal, about: "twice")
        == Self.decided(.ignored, .paid))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund of a payment of the wrong amount settles it`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 10))
    #expect(try await checkout.pay(order.id, key: "pay", amount: 70) == Self.decided(.amountMismatch, .pendingPayment))
    #expect(try await Self.refund(order.id, 70, key: "a") == Self.decided(.settled, .pendingPayment))
    #expect(try await checkout.paymentEvents(verdict: .amountMismatch).events.first?.settledAt != nil)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund that names another order than its payment stays parked`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder()
    let product = try #require(try await checkout.product(order.id.productID))
    let other = try await checkout.order(1, of: product)
    #expect(try await Self.refund(other.id, 40, key: "a") == Self.decided(.parked, nil))
    #expect(try await Self.refundedAmount() == 0)
    try await checkout.expectCleanAudit()
  }

  /// A batch may have a refund and, after it, its payment.
  @Test(.checkout) func `a refund is decided with its payment in one batch`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 10))
    try await pool.run(
      """
      select apply_payment_events(
        1, '{back,pay}', array_fill('\(order.id.uuidText)'::uuid, array[2]), '{refund,success}', '{100,null}',
        '{null,null}', '{pay,null}')
      """)
    #expect(try await checkout.order(order.id)?.status == .refunded)
    #expect(try await Self.refund(order.id, 100, key: "back") == Self.decided(.applied, .refunded, isReplay: true))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a failed attempt changes nothing`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 10)
    let hold = try await checkout.hold(1, of: product)
    #expect(try await checkout.pay(hold.id, .attemptFailed, key: "a") == Self.decided(.attemptFailed, nil))
    let order = try await checkout.order(hold)
    #expect(
      try await checkout.pay(order.id, .attemptFailed, key: "b") == Self.decided(.attemptFailed, .pendingPayment))
    #expect(try await checkout.pay(order.id, key: "pay") == Self.decided(.applied, .paid))
    #expect(try await checkout.pay(order.id, .attemptFailed, key: "c") == Self.decided(.attemptFailed, .paid))
    try await checkout.expectCleanAudit()
  }
}
