import Postgres
import Time

/// One message of the payment provider, identified by its idempotency key.
package struct PaymentEvent: Sendable, Hashable {
  package enum Status: String, Sendable, CaseIterable {
    case success, failed
  }

  /// 1 to 255 characters.
  package let idempotencyKey: String
  package let orderID: ReservationID
  package let status: Status
  /// In minor units of the currency. Compared with the order's amount unless it is nil.
  package let amount: Int64?
  /// ISO 4217. Compared with the order's currency unless it is nil.
  package let currency: String?

  package init(idempotencyKey: String, orderID: ReservationID, status: Status, amount: Int64?, currency: String?) {
    self.idempotencyKey = idempotencyKey
    self.orderID = orderID
    self.status = status
    self.amount = amount
    self.currency = currency
  }

  /// The effect of a payment event.
  package enum Verdict: String, Sendable, CaseIterable {
    /// An unpaid order was paid or cancelled.
    case applied
    /// The order does not exist yet. The transaction that places it decides the event.
    case parked
    /// A success for a cancelled or expired order. The order took its units again and is paid.
    case reacquired
    /// A success that could not pay its order, so the money must be refunded. The units are gone, the customer is at
    /// the limit, another event has paid the order, or the order never came.
    case refundDue = "refund_due"
    /// The amount or currency is not the order's.
    case amountMismatch = "amount_mismatch"
    /// A failure for a paid, cancelled or expired order.
    case ignored
  }
}

/// A payment event with its verdict.
package struct RecordedPaymentEvent: Sendable {
  package let event: PaymentEvent
  package let verdict: PaymentEvent.Verdict
  /// The order's status after the verdict; nil when there is no order.
  package let orderStatus: Order.Status?
  package let receivedAt: Timestamp
  /// When an operator settled the refund; nil before that.
  package let settledAt: Timestamp?
}

extension RecordedPaymentEvent {
  /// Reads the columns of `list_payment_events` and `settle_refund`.
  init(_ row: inout Row) throws {
    let event = PaymentEvent(
      idempotencyKey: try row.decode(), orderID: try row.decodeReservationID(), status: try row.decodeCase(),
      amount: try row.decodeIfPresent(), currency: try row.decodeIfPresent())
    self.init(
      event: event, verdict: try row.decodeCase(), orderStatus: try row.decodeCaseIfPresent(),
      receivedAt: try row.decode(), settledAt: try row.decodeIfPresent())
  }
}
