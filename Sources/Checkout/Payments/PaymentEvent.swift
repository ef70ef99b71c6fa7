import Postgres
import Time

/// One delivery from the payment provider, known by its idempotency key.
package struct PaymentEvent: Sendable, Hashable {
  package enum Status: String, Sendable, CaseIterable {
    case success, failed
  }

  /// 1 to 255 characters.
  package let idempotencyKey: String
  package let orderID: ReservationID
  package let status: Status
  /// In minor units of the currency; compared with the order's when given.
  package let amount: Int64?
  /// ISO 4217; compared with the order's when given.
  package let currency: String?

  package init(idempotencyKey: String, orderID: ReservationID, status: Status, amount: Int64?, currency: String?) {
    self.idempotencyKey = idempotencyKey
    self.orderID = orderID
    self.status = status
    self.amount = amount
    self.currency = currency
  }

  /// What an event did.
  package enum Verdict: String, Sendable, CaseIterable {
    /// A pending order was paid or cancelled.
    case applied
    /// The order does not exist yet; the transaction that places it applies the event.
    case parked
    /// A success after the order was cancelled or expired, and its units could be taken again.
    case reacquired
    /// Money was taken for nothing: the units are gone, the customer would have more than one may have, the order was
    /// paid before under another key, or it never came.
    case refundDue = "refund_due"
    /// The amount or currency is not the order's.
    case amountMismatch = "amount_mismatch"
    /// A failure after the order was paid, cancelled or expired.
    case ignored
  }
}

/// A payment event with what it did.
package struct RecordedPaymentEvent: Sendable {
  package let event: PaymentEvent
  package let verdict: PaymentEvent.Verdict
  /// The order's status after the verdict; nil when the order has not come.
  package let orderStatus: Order.Status?
  package let receivedAt: Timestamp
  /// When an operator said that the money was given back.
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
