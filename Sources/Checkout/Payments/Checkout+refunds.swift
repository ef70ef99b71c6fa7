/// Refunds. All calls throw `CheckoutError`.
extension Checkout {
  /// Records that an operator refunded money of an order. See `RefundOrder`.
  package func refundOrder(_ request: RefundOrder, by author: ChangeAuthor) async throws -> RefundOrder.Outcome {
    defer { stockFeed.announce(request.orderID.productID) }
    var request = request
    request.author = author
    do {
      let outcome = try await call { [request] in try await $0.transactOnce(request)[0] }
      metrics?.refunds.increment(outcome.word)
      if case .refunded(let refund, isReplay: false) = outcome {
        metrics?.refundedAmount.increment(refund.currency, by: refund.amount)
      }
      return outcome
    } catch {
      metrics?.refunds.increment(failedOutcome)
      throw error
    }
  }

  /// The order of the payment that was recorded under this idempotency key. Nil when there is no such payment.
  package func paymentOrder(key: String) async throws -> ReservationID? {
    try await call(isRead: true) { try await $0.execute(FindPaymentOrder(key: key)).first }
  }
}
