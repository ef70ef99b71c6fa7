import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct DisputeTests {
  private static func decided(_ verdict: PaymentEvent.Verdict, _ status: Order.Status?) -> ApplyPaymentEvent.Outcome {
    .decided(verdict, orderStatus: status, isReplay: false)
  }

  private static func dispute(
    _ id: ReservationID, _ status: PaymentEvent.Status, about payment: String = "pay"
  ) async throws -> ApplyPaymentEvent.Outcome {
    try await TestCheckout.current.checkout.pay(id, status, key: "\(status) of \(payment)", about: payment)
  }

  private static func isDispute(_ word: String?) async throws -> Bool {
    try await TestCheckout.current.pool.integer(
      "select count(*) from orders where dispute is not distinct from \(word.map { "'\($0)'" } ?? "null")") == 1
  }

  @Test(.checkout, arguments: [PaymentEvent.Status.disputeWon, .disputeLost])
  func `a dispute opens and is closed`(end: PaymentEvent.Status) async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let order = try await checkout.order(2, of: product)
    _ = try await checkout.pay(order.id, key: "pay")
    #expect(try await Self.isDispute(nil))
    #expect(try await Self.dispute(order.id, .disputeOpen) == Self.decided(.applied, .paid))
    #expect(try await Self.isDispute("open"))
    #expect(try await Self.dispute(order.id, end) == Self.decided(.applied, .paid))
    #expect(try await Self.isDispute(end == .disputeWon ? "won" : "lost"))
    #expect(try await checkout.availableStock(product) == 3)
    try await checkout.expectCleanAudit()
  }

  /// The provider does not keep the order of its events.
  @Test(.checkout) func `a dispute that was closed does not open again`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 5))
    _ = try await checkout.pay(order.id, key: "pay")
    #expect(try await Self.dispute(order.id, .disputeLost) == Self.decided(.applied, .paid))
    #expect(try await Self.dispute(order.id, .disputeOpen) == Self.decided(.ignored, .paid))
    #expect(try await Self.isDispute("lost"))
    #expect(try await Self.dispute(order.id, .disputeWon) == Self.decided(.applied, .paid))
    #expect(try await Self.isDispute("won"))
    #expect(
      try await checkout.pay(order.id, .disputeWon, key: "again", about: "pay") == Self.decided(.ignored, .paid))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a dispute before its payment waits for it`() async throws {
    let checkout = TestCheckout.current.checkout
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 5))
    #expect(try await Self.dispute(hold.id, .disputeOpen) == Self.decided(.parked, nil))
    #expect(try await checkout.order(hold).status == .pendingPayment)
    #expect(try await Self.isDispute(nil))
    _ = try await checkout.pay(hold.id, key: "pay")
    #expect(try await Self.isDispute("open"))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a dispute of money that is due leaves the order alone`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 5))
    for key in ["pay", "twice"] { _ = try await checkout.pay(order.id, key: key) }
    #expect(try await Self.dispute(order.id, .disputeOpen, about: "twice") == Self.decided(.ignored, .paid))
    #expect(try await Self.isDispute(nil))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refunded order can be disputed`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 5))
    _ = try await checkout.pay(order.id, key: "pay")
    _ = try await checkout.refund(order.id, key: "back")
    #expect(try await Self.dispute(order.id, .disputeOpen) == Self.decided(.applied, .refunded))
    #expect(try await Self.isDispute("open"))
    try await checkout.expectCleanAudit()
  }
}
