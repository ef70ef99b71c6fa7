import Postgres
import Time

/// Units of one product that are kept for a buyer until `expiresAt`.
package struct Hold: Sendable, Equatable {
  package enum Status: String, CaseIterable, Sendable {
    case active, ordered, released, expired
  }

  package let id: ReservationID
  /// In units.
  package let quantity: Int32
  /// A lapsed hold is `expired`, even if no worker has expired it yet.
  package let status: Status
  package let expiresAt: Timestamp
  /// The time until `expiresAt` by the database's clock, from when this was read. Not negative.
  package let remaining: Duration
  package let metadata: Metadata?
}

extension Hold: ReservationRow {
  /// Reads the columns of `read_holds` and `release_holds`.
  init(_ row: inout Row) throws {
    self.init(
      id: try row.decodeReservationID(), quantity: try row.decode(), status: try row.decodeCase(),
      expiresAt: try row.decode(), remaining: .microseconds(try row.decode(Int64.self)),
      metadata: try row.decodeMetadataIfPresent())
  }
}
