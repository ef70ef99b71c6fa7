import Postgres
import Time

/// An order in a list.
package struct ListedOrder: Listed, Equatable {
  package typealias Status = Order.Status

  package let id: ReservationID
  /// In units.
  package let quantity: Int32
  /// In minor units of the currency. The same applies to `refundedAmount`.
  package let amount: Int64
  /// ISO 4217.
  package let currency: String
  package let status: Status
  package let paymentDueAt: Timestamp
  package let createdAt: Timestamp
  package let paidAt: Timestamp?
  package let refundedAmount: Int64
  /// The state of the dispute about its payment. Nil when there is none.
  package let dispute: String?
  /// A JSON object. Nil when there is none.
  package let metadata: String?
  package let customerID: String?

  package static func read(
    _ selection: Selection<Self>, after cursor: ReservationID?, limit: Int32, from database: Pool
  ) async throws -> [ListEntry<Self>] {
    try await database.execute(ListOrders(selection: selection, cursor: cursor, limit: limit))
  }
}

private struct ListOrders: PreparedStatement {
  static let name = "list_orders"
  static let sql = """
    select * from flashsale.list_orders(
      $1::integer, $2::text, $3::text, $4::timestamptz, $5::bigint, $6::uuid, $7::integer)
    """
  static let isCancellable = true

  /// Covers waits for locks and clocks that differ.
  private static let margin: Duration = .seconds(600)

  let selection: Selection<ListedOrder>
  let cursor: ReservationID?
  let limit: Int32

  func bind(to parameters: inout Parameters) {
    // An id has the second of the hold, which is earlier than the order.
    let before = Int64((selection.longestHold + Self.margin) / .seconds(1)) * 1_000_000
    let firstHold = selection.createdAfter.map {
      Timestamp(microsecondsSince1970: $0.microsecondsSince1970 - before).idSecond
    }
    parameters.append(selection.productID)
    parameters.append(selection.status?.rawValue)
    parameters.append(selection.customerID)
    parameters.append(selection.createdAfter)
    parameters.append(firstHold ?? 0)
    parameters.append(cursor?.uuid)
    parameters.append(limit)
  }

  static func decode(_ row: inout Row) throws -> ListEntry<ListedOrder> {
    let id = try row.decodeReservationID()
    guard let quantity = try row.decodeIfPresent(Int32.self) else { return .end(id) }
    let order = ListedOrder(
      id: id, quantity: quantity, amount: try row.decode(), currency: try row.decode(), status: try row.decodeCase(),
      paymentDueAt: try row.decode(), createdAt: try row.decode(), paidAt: try row.decodeIfPresent(),
      refundedAmount: try row.decode(), dispute: try row.decodeIfPresent(), metadata: try row.decodeIfPresent(),
      customerID: try row.decodeIfPresent())
    return .row(order)
  }
}
