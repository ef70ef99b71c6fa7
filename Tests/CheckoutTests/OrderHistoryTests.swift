import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct OrderHistoryTests {
  private static let author = ChangeAuthor(name: "test", requestID: nil)

  private static func refund(_ order: Order, amount: Int64?, key: String) -> RefundOrder {
    RefundOrder(orderID: order.id, amount: amount, isRestock: false, reason: nil, idempotencyKey: key)
  }

  @Test(.checkout) func `a history has the order as buyers see it and nothing of other orders`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let (order, other) = (try await checkout.order(2, of: product), try await checkout.order(1, of: product))
    _ = try await checkout.pay(order.id, key: "mine")
    _ = try await checkout.pay(other.id, key: "another's")
    let outcome = try await checkout.refundOrder(Self.refund(order, amount: 30, key: "r"), by: Self.author)
    guard case .refunded(let refund, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
    _ = try await checkout.refundOrder(Self.refund(other, amount: nil, key: "s"), by: Self.author)

    let history = try #require(try await checkout.orderHistory(order.id))
    #expect(try await checkout.order(order.id) == history.order)
    #expect(history.customerID == nil && !history.isRestocked && history.refundableAmount == 170)
    #expect(history.paymentEvents.map(\.event.idempotencyKey) == ["mine"])
    #expect(history.refunds == [refund])
    #expect(try await checkout.orderHistory(other.id)?.refundableAmount == 0)
  }

  @Test(.checkout) func `an unknown order has no history although an event is parked for it`() async throws {
    let checkout = TestCheckout.current.checkout
    let hold = try await checkout.hold(1, of: checkout.newProduct(stock: 5))
    _ = try await checkout.pay(hold.id, key: "early")
    #expect(try await checkout.orderHistory(hold.id) == nil)
    let order = try await checkout.order(hold)
    let history = try #require(try await checkout.orderHistory(order.id))
    #expect(history.paymentEvents.map(\.verdict) == [.applied])
  }

  @Test(.checkout) func `a history has the newest 1,000 events in the order of time`() async throws {
    let (checkout, pool) = TestCheckout.current
    let order = try await checkout.order(1, of: checkout.newProduct(stock: 5))
    try await pool.run(
      """
      insert into payment_events (idempotency_key, product_id, order_id, status, verdict, order_status, received_at)
      select 'k' || n, product_id, id, 'failed', 'ignored', 'cancelled', timestamptz '2026-01-01' + n * interval '1 ms'
      from orders, generate_series(1, 1005) n
      """)
    let history = try #require(try await checkout.orderHistory(order.id))
    #expect(history.paymentEvents.map(\.event.idempotencyKey) == (6...1005).map { "k\($0)" })
  }

  /// With one statement for the order and another one for its refunds, a refund between them would be seen by one only.
  @Test(.checkout) func `the refunds of a history add up to its refunded amount while refunds are made`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5, price: 1000)
    let order = try await checkout.order(1, of: product)
    _ = try await checkout.pay(order.id, key: "pay")
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask {
        for number in 0..<100 {
          _ = try await checkout.refundOrder(Self.refund(order, amount: 10, key: "r-\(number)"), by: Self.author)
        }
      }
      group.addTask {
        var history: OrderHistory
        repeat {
          history = try #require(try await checkout.orderHistory(order.id))
          #expect(history.refunds.reduce(0) { $0 + $1.amount } == history.order.refundedAmount)
          #expect((history.order.status == .refunded) == (history.order.refundedAmount == 1000))
        } while history.order.status != .refunded
      }
    }
  }
}
