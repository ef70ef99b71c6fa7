import Postgres
import Time

/// A hold after checkout. It has the id of its hold.
package struct Order: Sendable, Equatable {
  package enum Status: String, CaseIterable, Sendable {
    case pendingPayment = "pending_payment"
    case paid, cancelled, expired
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
      paidAt: try row.decodeIfPresent())
  }
}
