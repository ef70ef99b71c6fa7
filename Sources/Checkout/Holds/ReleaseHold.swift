import FoundationEssentials
import Postgres

/// Releases an active hold, and returns its units to the stock. A hold that is not active stays unchanged.
///
/// The outcome is the hold afterwards, nil for an unknown hold.
struct ReleaseHold: RepeatableUseCase {
  typealias Request = ReservationID
  typealias Outcome = Hold?

  func lane(of id: ReservationID) -> Int32 { id.productID }

  func changesStock(_ hold: Hold?) -> Bool { hold?.status == .released }

  func execute(_ ids: [ReservationID], lane productID: Int32, on connection: isolated Connection) throws -> [Hold?] {
    let found = try connection.transact(Statement(productID: productID, ids: ids.map(\.uuid)))
    let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
    return ids.map { byID[$0] }
  }

  private struct Statement: PreparedStatement {
    static let name = "release_holds"
    static let sql = "select * from flashsale.release_holds($1::integer, $2::uuid[])"
    let productID: Int32
    let ids: [UUID]

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(ids)
    }

    static func decode(_ row: inout Row) throws -> Hold {
      try Hold(&row)
    }
  }
}
