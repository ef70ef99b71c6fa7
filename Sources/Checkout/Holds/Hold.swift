import Postgres
import Time

/// A reservation of units of one product for a limited time.
package struct Hold: Sendable, Equatable {
  package enum Status: String, Sendable {
    case active, ordered, released, expired
  }

  package let id: ReservationID
  package let quantity: Int32
  /// Past `expiresAt` never `active`, whether a worker has been there or not.
  package let status: Status
  package let expiresAt: Timestamp
  /// Until `expiresAt`, by the database's clock, when this was read. Not negative.
  package let remaining: Duration
}

extension Hold: ReservationRow {
  /// Reads the columns of `read_holds` and `release_holds`.
  init(_ row: inout Row) throws {
    self.init(
      id: try row.decodeReservationID(), quantity: try row.decode(), status: try row.decodeCase(),
      expiresAt: try row.decode(), remaining: .microseconds(try row.decode(Int64.self)))
  }
}
