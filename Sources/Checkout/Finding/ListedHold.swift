import Postgres
import Time

/// A hold in a list.
package struct ListedHold: Listed, Equatable {
  package typealias Status = Hold.Status

  package let id: ReservationID
  /// In units.
  package let quantity: Int32
  /// A lapsed hold is `expired`, even if no worker has expired it yet.
  package let status: Status
  package let expiresAt: Timestamp
  /// The time until `expiresAt` by the database's clock, from when this was read. Not negative.
  package let remaining: Duration
  /// A JSON object. Nil when there is none.
  package let metadata: String?
  package let customerID: String?

  /// When the hold was made, in whole seconds, by the clock of the server that made it.
  package var createdAt: Timestamp { Timestamp(microsecondsSince1970: id.unixSecond * 1_000_000) }

  package static func read(
    _ selection: Selection<Self>, after cursor: ReservationID?, limit: Int32, from database: Pool
  ) async throws -> [ListEntry<Self>] {
    try await database.execute(ListHolds(selection: selection, cursor: cursor, limit: limit))
  }
}

private struct ListHolds: PreparedStatement {
  static let name = "list_holds"
  static let sql = """
    select * from flashsale.list_holds($1::integer, $2::text, $3::text, $4::bigint, $5::uuid, $6::integer)
    """
  static let isCancellable = true

  let selection: Selection<ListedHold>
  let cursor: ReservationID?
  let limit: Int32

  func bind(to parameters: inout Parameters) {
    parameters.append(selection.productID)
    parameters.append(selection.status?.rawValue)
    parameters.append(selection.customerID)
    // A hold's time is a whole second, so a hold of the same second is not later.
    let following = selection.createdAfter.map {
      Timestamp(microsecondsSince1970: $0.microsecondsSince1970 + 1_000_000).idSecond
    }
    parameters.append(following ?? 0)
    parameters.append(cursor?.uuid)
    parameters.append(limit)
  }

  static func decode(_ row: inout Row) throws -> ListEntry<ListedHold> {
    let id = try row.decodeReservationID()
    guard let quantity = try row.decodeIfPresent(Int32.self) else { return .end(id) }
    let hold = ListedHold(
      id: id, quantity: quantity, status: try row.decodeCase(), expiresAt: try row.decode(),
      remaining: .microseconds(try row.decode(Int64.self)), metadata: try row.decodeIfPresent(),
      customerID: try row.decodeIfPresent())
    return .row(hold)
  }
}
