import Postgres
import Time

/// What a hold becomes when the buyer checks out. It has its hold's number.
public struct Order: Sendable, Equatable {
  public enum Status: String, Sendable {
    case pendingPayment = "pending_payment"
    case paid, cancelled, expired
  }

  public let id: ReservationID
  public let quantity: Int32
  /// In minor units of the currency.
  public let amount: Int64
  /// ISO 4217.
  public let currency: String
  public let status: Status
  public let paymentDueAt: Timestamp
  public let createdAt: Timestamp
  public let paidAt: Timestamp?
}

extension Order {
  /// Reads an order's columns, which stand behind its id.
  init(id: ReservationID, _ row: inout Row) throws {
    self.init(
      id: id, quantity: try row.decode(), amount: try row.decode(), currency: try row.decode(),
      status: try row.decodeCase(), paymentDueAt: try row.decode(), createdAt: try row.decode(),
      paidAt: try row.decodeIfPresent())
  }
}
