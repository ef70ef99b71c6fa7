import Postgres
import Time

/// A hold after checkout. It has the id of its hold.
package struct Order: Sendable, Equatable {
  package enum Status: String, CaseIterable, Sendable {
    case pendingPayment = "pending_payment"
    case paid, cancelled, expired, refunded
  }

  /// A buyer's claim against the payment, at the payment provider.
  package enum Dispute: String, Sendable {
    case open, won, lost
  }

  package let id: ReservationID
  /// In units.
  package let quantity: Int32
  /// In minor units of the currency.
  package let amount: Int64
  /// ISO 4217.
  package let currency: String
  package let status: Status
  package let paymentDueAt: Timestamp
  package let createdAt: Timestamp
  package let paidAt: Timestamp?
  /// The part of `amount` that was given back, in minor units of the currency.
  package let refundedAmount: Int64
  /// Nil when there never was one.
  package let dispute: Dispute?
  /// That of the hold, and that of the order's request on top.
  package let metadata: Metadata?
}

extension Order: ReservationRow {
  /// Reads the columns of `read_orders`.
  init(_ row: inout Row) throws {
    try self.init(id: row.decodeReservationID(), &row)
  }

  /// Reads the columns of an order that follow its id.
  init(id: ReservationID, _ row: inout Row) throws {
    self.init(
      id: id, quantity: try row.decode(), amount: try row.decode(), currency: try row.decode(),
      status: try row.decodeCase(), paymentDueAt: try row.decode(), createdAt: try row.decode(),
      paidAt: try row.decodeIfPresent(), refundedAmount: try row.decode(), dispute: try row.decodeCaseIfPresent(),
      metadata: try row.decodeMetadataIfPresent())
  }
}
