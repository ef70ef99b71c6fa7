import FoundationEssentials
import Postgres

/// Finds the order of a recorded payment. Returns no row for a key under which no payment was recorded.
struct FindPaymentOrder: PreparedStatement {
  static let name = "find_payment_order"
  static let sql = "select * from flashsale.find_payment_order($1::text)"
  static let isCancellable = true

  let key: String

  func bind(to parameters: inout Parameters) { parameters.append(key) }

  static func decode(_ row: inout Row) throws -> ReservationID { try row.decodeReservationID() }
}
