import Postgres
import Time

/// One message of the payment provider, identified by its idempotency key.
package struct PaymentEvent: Sendable, Hashable {
  package enum Status: String, Sendable, CaseIterable {
    case success, failed
    /// One attempt failed, and the buyer may try again.
    case attemptFailed = "attempt_failed"
    /// A refund. The amount is the total that was refunded of the payment so far.
    case refundedTotal = "refunded_total"
    /// A refund. The amount is that of one refund of the payment.
    case refund
    case disputeOpen = "dispute_open"
    case disputeWon = "dispute_won"
    case disputeLost = "dispute_lost"
  }

  /// 1 to 255 characters.
  package let idempotencyKey: String
  package let orderID: ReservationID
  package let status: Status
  /// In minor units of the currency. A payment's amount is compared with the order's unless it is nil. A refund has an
  /// amount.
  package let amount: Int64?
  /// ISO 4217. Compared with the order's currency unless it is nil.
  package let currency: String?
  /// The idempotency key of the payment that a refund or dispute is about; nil for all other events.
  package let paymentKey: String?

  /// - Parameter paymentKey: not nil if and only if the event is a refund or a dispute.
  package init(
    idempotencyKey: String, orderID: ReservationID, status: Status, amount: Int64?, currency: String?,
    paymentKey: String? = nil
  ) {
    self.idempotencyKey = idempotencyKey
    self.orderID = orderID
    self.status = status
    self.amount = amount
    self.currency = currency
    self.paymentKey = paymentKey
  }

  /// The effect of a payment event.
  package enum Verdict: String, Sendable, CaseIterable {
    /// An unpaid order was paid or cancelled. Or a refund or dispute changed its order.
    case applied
    /// The order does not exist yet. The transaction that places it decides the event. A refund or dispute is parked until
    /// its payment is recorded and decided.
    case parked
    /// A success for a cancelled or expired order. The order took its units again and is paid.
    case reacquired
    /// A success that could not pay its order, so the money must be refunded. The units are gone, the customer is at
    /// the limit, another event has paid the order, or the order never came.
    case refundDue = "refund_due"
    /// The amount or currency is not the order's.
    case amountMismatch = "amount_mismatch"
    /// A failure for a paid, cancelled or expired order. Or a refund or dispute that adds nothing.
    case ignored
    /// An attempt to pay failed. The order is unchanged.
    case attemptFailed = "attempt_failed"
    /// A refund of a payment that pays no order. Its money was due, and is settled now.
    case settled
  }
}

/// A payment event with its verdict.
package struct RecordedPaymentEvent: Sendable {
  package let event: PaymentEvent
  package let verdict: PaymentEvent.Verdict
  /// The order's status after the verdict; nil when there is no order.
  package let orderStatus: Order.Status?
  package let receivedAt: Timestamp
  /// When an operator or a refund settled the event; nil before that.
  package let settledAt: Timestamp?
}

extension RecordedPaymentEvent {
  /// Reads the columns of `list_payment_events` and `settle_refund`.
  init(_ row: inout Row) throws {
    let key = try row.decode(String.self)
    let orderID = try row.decodeReservationID()
    let status = try row.decodeCase(PaymentEvent.Status.self)
    let amount = try row.decodeIfPresent(Int64.self)
    let currency = try row.decodeIfPresent(String.self)
    verdict = try row.decodeCase()
    orderStatus = try row.decodeCaseIfPresent()
    receivedAt = try row.decode()
    settledAt = try row.decodeIfPresent()
    event = PaymentEvent(
      idempotencyKey: key, orderID: orderID, status: status, amount: amount, currency: currency,
      paymentKey: try row.decodeIfPresent())
  }
}
