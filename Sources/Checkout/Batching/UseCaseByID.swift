import Postgres

/// A use case that calls an SQL function with ids of one product. The function returns a row for each hold or order that
/// it finds.
protocol UseCaseByID: RepeatableUseCase where Request == ReservationID, Outcome == Found? {
  associatedtype Found: ReservationRow
  /// The name of the function. It takes a product's id and an array of UUIDs.
  static var function: String { get }
}

/// A hold or an order.
protocol ReservationRow: Sendable {
  var id: ReservationID { get }
  /// Reads all columns of the function's row.
  init(_ row: inout Row) throws
}

extension UseCaseByID {
  func lane(of id: ReservationID) -> Int32 { id.productID }

  /// - Returns: the row of each id, nil for an unknown id.
  func execute(_ ids: [ReservationID], lane productID: Int32, on connection: isolated Connection) throws -> [Found?] {
    let statement = StatementByID<Self>(productID: productID, ids: ids)
    let found = try Self.isRead ? connection.run(statement) : connection.transact(statement)
    let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
    return ids.map { byID[$0] }
  }
}

private struct StatementByID<UseCase: UseCaseByID>: PreparedStatement {
  static var name: String { UseCase.function }
  static var sql: String { "select * from flashsale.\(name)($1::integer, $2::uuid[])" }
  let productID: Int32
  let ids: [ReservationID]

  func bind(to parameters: inout Parameters) {
    parameters.append(productID)
    parameters.append(ids.map(\.uuid))
  }

  static func decode(_ row: inout Row) throws -> UseCase.Found { try UseCase.Found(&row) }
}
