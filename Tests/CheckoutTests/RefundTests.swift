import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Refunds that operators record.
@Suite struct RefundTests {
  private static func refund(_ outcome: RefundOrder.Outcome, isReplay: Bool = false) throws -> Refund {
    guard case .refunded(let refund, isReplay) = outcome else { throw Unexpected("\(outcome)") }
    return refund
  }

  private static func paidOrder(_ quantity: Int32, of product: Product) async throws -> Order {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(quantity, of: product)
    _ = try await checkout.pay(order.id, key: "pay \(order.id.holdText)")
    return order
  }

  @Test(.checkout) func `a part is refunded, then the rest`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let order = try await Self.paidOrder(2, of: product)
    let part = try Self.refund(try await checkout.refund(order.id, 50, reason: "torn", key: "a"))
    #expect(part.amount == 50 && part.currency == "USD" && part.orderID == order.id)
    #expect(part.reason == "torn" && part.source == .operator && !part.isRestock)
    #expect(part.id.text.hasPrefix("refund_" + order.id.uuidText.prefix(8)) && part.id.text.count == 39)
    #expect(try await checkout.order(order.id)?.status == .paid)
    let rest = try Self.refund(try await checkout.refund(order.id, key: "b"))
    #expect(rest.amount == 150)
    #expect(try await checkout.order(order.id)?.status == .refunded)
    #expect(try await pool.integer("select refunded_amount from orders") == 200)
    // The buyer keeps the units.
    #expect(try await checkout.availableStock(product) == 8)
    #expect(try await checkout.refund(order.id, key: "c") == .refundTooLarge(left: 0))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `more than what is left is refused`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder(2, of: try await checkout.newProduct(stock: 10))
    #expect(try await checkout.refund(order.id, 201, key: "a") == .refundTooLarge(left: 200))
    _ = try Self.refund(try await checkout.refund(order.id, 150, key: "b"))
    #expect(try await checkout.refund(order.id, 51, key: "c") == .refundTooLarge(left: 50))
    // A refused call does not take its key.
    _ = try Self.refund(try await checkout.refund(order.id, 50, key: "c"))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `units return to the stock once, and only when no money is left`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 10)
    let order = try await Self.paidOrder(3, of: product)
    _ = try Self.refund(try await checkout.refund(order.id, 100, restock: true, key: "a"))
    #expect(try await checkout.availableStock(product) == 7)
    _ = try Self.refund(try await checkout.refund(order.id, 200, restock: true, key: "b"))
    #expect(try await checkout.availableStock(product) == 10)
    #expect(try await checkout.refund(order.id, restock: true, key: "c") == .refundTooLarge(left: 0))
    #expect(try await checkout.availableStock(product) == 10)
    // They can be sold again.
    _ = try await checkout.order(10, of: product)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an order that the provider refunded is restocked by a refund of 0`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 10)
    let order = try await checkout.order(3, of: product)
    _ = try await checkout.pay(order.id, key: "pay")
    _ = try await checkout.pay(order.id, .refundedTotal, key: "back", amount: 300, about: "pay")
    #expect(try await checkout.refund(order.id, 300, restock: true, key: "a") == .refundTooLarge(left: 0))
    let restocking = try Self.refund(try await checkout.refund(order.id, restock: true, key: "b"))
    #expect(restocking.amount == 0 && restocking.isRestock)
    #expect(try await checkout.availableStock(product) == 10)
    #expect(try await checkout.order(order.id)?.status == .refunded)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a repeated key is a replay, or refused for another request`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let order = try await Self.paidOrder(2, of: product)
    let other = try await Self.paidOrder(2, of: product)
    let first = try Self.refund(try await checkout.refund(order.id, restock: true, reason: "torn", key: "k"))
    // Nothing is left now, and the same request still has its refund.
    let again = try await checkout.refund(order.id, restock: true, reason: "torn", key: "k")
    #expect(try Self.refund(again, isReplay: true) == first)
    #expect(try await checkout.refund(order.id, 200, restock: true, reason: "torn", key: "k") == .keyReused)
    #expect(try await checkout.refund(order.id, reason: "torn", key: "k") == .keyReused)
    #expect(try await checkout.refund(order.id, restock: true, reason: "lost", key: "k") == .keyReused)
    #expect(try await checkout.refund(other.id, restock: true, reason: "torn", key: "k") == .keyReused)
    #expect(try await pool.integer("select count(*) from refunds") == 1)
    #expect(try await checkout.availableStock(product) == 8)
    // Another product has keys of its own.
    let elsewhere = try await Self.paidOrder(2, of: try await checkout.newProduct(stock: 10))
    _ = try Self.refund(try await checkout.refund(elsewhere.id, restock: true, reason: "torn", key: "k"))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `only a paid order is refunded`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 10)
    let order = try await checkout.order(1, of: product)
    #expect(try await checkout.refund(order.id, key: "a") == .orderNotPaid(.pendingPayment))
    _ = try await checkout.pay(order.id, .failed, key: "failed")
    #expect(try await checkout.refund(order.id, key: "a") == .orderNotPaid(.cancelled))
    #expect(try await checkout.refund(checkout.hold(1, of: product).id, key: "a") == .orderNotFound)
    try await checkout.expectCleanAudit()
  }

  /// Both read what is left. Without the lock on the order, both would find all of it.
  @Test(.checkout) func `two refunds at once are not more than what was paid`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let order = try await Self.paidOrder(2, of: product)
    let outcome = try await pool.holding(Self.call(order, 150, key: "first")) { commit in
      async let outcome = checkout.refund(order.id, 150, restock: true, key: "second")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .refundTooLarge(left: 50))
    try await checkout.expectCleanAudit()
  }

  /// The second call waits for the lock on the key. Otherwise it would find no refund under the key, and insert one.
  @Test(.checkout) func `one key on two servers at once is one refund`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let order = try await Self.paidOrder(2, of: product)
    let outcome = try await pool.holding(Self.call(order, 50, key: "k")) { commit in
      async let outcome = checkout.refund(order.id, 50, key: "k")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(try Self.refund(outcome, isReplay: true).amount == 50)
    #expect(try await pool.integer("select refunded_amount from orders") == 50)
    try await checkout.expectCleanAudit()
  }

  private static func call(_ order: Order, _ amount: Int64, key: String) -> String {
    """
    select refund_order(
      \(order.id.productID), '\(order.id.uuidText)', \(amount), false, null, '\(key)', gen_random_uuid())
    """
  }

  @Test(.checkout) func `a refunded order counts for its customer until it is restocked`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(
      CreateProduct(name: "Cap", price: 100, currency: "USD", stock: 10, maximumPerCustomer: 2))
    func hold() async throws -> ReserveHold.Outcome {
      try await checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada")
    }
    let id = try #require(try await hold().heldID)
    _ = try await checkout.placeOrder(holdID: id)
    _ = try await checkout.pay(id, key: "pay")
    _ = try Self.refund(try await checkout.refund(id, key: "a"))
    #expect(try await hold().customerLimit != nil)
    _ = try Self.refund(try await checkout.refund(id, restock: true, key: "b"))
    #expect(try await hold().heldID != nil)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a success for a refunded order is refund_due, and a failure is ignored`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder(1, of: try await checkout.newProduct(stock: 10))
    _ = try Self.refund(try await checkout.refund(order.id, restock: true, key: "a"))
    #expect(
      try await checkout.pay(order.id, key: "again") == .decided(.refundDue, orderStatus: .refunded, isReplay: false))
    #expect(
      try await checkout.pay(order.id, .failed, key: "late")
        == .decided(.ignored, orderStatus: .refunded, isReplay: false))
    #expect(try await checkout.availableStock(try #require(try await checkout.product(order.id.productID))) == 10)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refund is recorded in the log of changes, and its replay is not`() async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await Self.paidOrder(2, of: try await checkout.newProduct(stock: 10))
    for _ in 0..<2 { _ = try await checkout.refund(order.id, restock: true, reason: "torn", key: "a") }
    let changes = try await checkout.adminChanges().changes.filter { $0.action == "order.refunded" }
    #expect(changes.count == 1 && changes.first?.who == "test" && changes.first?.productID == order.id.productID)
    let id = order.id.orderText
    #expect(
      changes.first?.from
        == #"{"status": "paid", "order_id": "\#(id)", "restocked": false, "refunded_amount": 0}"#)
    #expect(
      changes.first?.to
        == #"{"reason": "torn", "status": "refunded", "order_id": "\#(id)", "restocked": true, "refunded_amount": 200}"#
    )
  }

  @Test(.checkout) func `the order of a payment is found by the payment's key`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 10)
    let hold = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(hold.id, key: "early")
    _ = try await checkout.pay(hold.id, .failed, key: "failed")
    #expect(try await checkout.paymentOrder(key: "early") == hold.id)
    #expect(try await checkout.paymentOrder(key: "failed") == nil)
    #expect(try await checkout.paymentOrder(key: "unknown") == nil)
  }
}
