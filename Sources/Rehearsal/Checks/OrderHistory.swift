/// What had happened to an order before a payment event was answered.
struct OrderHistory {
  /// The order certainly existed when the deciding attempt was sent.
  let orderExisted: Bool
  /// A request for the order had been sent before the response.
  let mayExist: Bool
  /// Another event certainly cancelled the order before this one was first sent.
  let failedBefore: Bool
  /// Another event certainly paid the order before this one was first sent.
  let paidBefore: Bool
  /// Another event, or the end of the order's time, may have ended the order before the response.
  let mayHaveEnded: Bool
  let mayBePaid: Bool

  init(_ payment: RequestRecord, _ order: Reservation) {
    let answered = payment.answered ?? .max
    // A replay repeats the verdict of the first delivery. So the first delivery with this key counts.
    let first = order.payments.filter { $0.key == payment.key }.map(\.firstSent).min() ?? payment.firstSent
    let others = order.payments.filter { $0.key != payment.key }
    func certain(_ status: RequestTemplate.PaymentStatus, _ verdicts: Set<String>) -> Bool {
      others.contains {
        $0.template.payment == status && verdicts.contains($0.response?.verdict ?? "") && ($0.answered ?? .max) < first
      }
    }
    func sent(_ status: RequestTemplate.PaymentStatus) -> Bool {
      others.contains { $0.template.payment == status && $0.firstSent < answered }
    }
    orderExisted = order.orderAcknowledged.map { $0 < payment.lastSent } ?? false
    mayExist = order.orderSent.map { $0 < answered } ?? false
    failedBefore = certain(.failed, ["applied"])
    paidBefore = certain(.success, ["applied", "reacquired"])
    let mayHaveExpired = order.orderSent.map { answered >= order.earliestExpiry ?? $0 } ?? false
    mayHaveEnded = sent(.failed) || mayHaveExpired
    mayBePaid = sent(.success)
  }
}
