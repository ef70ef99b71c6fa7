import FoundationEssentials
import Postgres

/// Reads an order. The outcome is nil for an unknown order.
struct ReadOrder: RepeatableUseCase {
  static let isRead = true

  typealias Request = ReservationID
  typealias Outcome = Order?

  func lane(of id: ReservationID) -> Int32 { id.productID }

  func execute(_ ids: [ReservationID], lane productID: Int32, on connection: isolated Connection) throws -> [Order?] {
    let found = try connection.run(Statement(productID: productID, ids: ids.map(\.uuid)))
    let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
    return ids.map { byID[$0] }
  }

  private struct Statement: PreparedStatement {
    static let name = "read_orders"
    static let sql = "select * from flashsale.read_orders($1::integer, $2::uuid[])"
    let productID: Int32
    let ids: [UUID]

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(ids)
    }

    static func decode(_ row: inout Row) throws -> Order {
      try Order(id: row.decodeReservationID(), &row)
    }
  }
}
