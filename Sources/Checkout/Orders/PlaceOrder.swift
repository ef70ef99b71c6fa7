import FoundationEssentials
import Postgres

/// Turns a hold into an order, once.
public struct PlaceOrder: BatchedUseCase {
  public enum Outcome: Sendable, Equatable {
    case placed(Order)
    case holdNotFound
    case alreadyOrdered
    case holdExpired
    case holdReleased
  }

  let database: Pool
  let jobs: JobRunner
  let timeToLive: Duration

  func lane(of holdID: ReservationID) -> Int32 { holdID.productID }

  func execute(_ holdIDs: [ReservationID], lane productID: Int32) async throws -> [Outcome] {
    let statement = Statement(productID: productID, holdIDs: holdIDs.map(\.uuid), timeToLive: timeToLive)
    let results = try await database.transact(statement)
    if results.contains(where: \.isRescheduled) { jobs.announce() }
    var byID = Dictionary(uniqueKeysWithValues: results.map { ($0.holdID, $0.outcome) })
    return holdIDs.map { id in
      guard let outcome = byID[id] else { return .holdNotFound }
      // Of several requests for one hold in a batch the first places the order; to the others it exists already.
      if case .placed = outcome { byID[id] = .alreadyOrdered }
      return outcome
    }
  }

  private struct Statement: PreparedStatement {
    static let name = "place_orders"
    static let sql = "select * from place_orders($1::integer, $2::uuid[], $3::bigint)"
    let productID: Int32
    let holdIDs: [UUID]
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(holdIDs)
      parameters.append(Int64(timeToLive / .microseconds(1)))
    }

    static func decode(
      _ row: inout Row
    ) throws -> (holdID: ReservationID, outcome: Outcome, isRescheduled: Bool) {
      let holdID = try row.decodeReservationID()
      let isPlaced = try row.decode(Bool.self)
      let status = try row.decodeCase(Hold.Status.self)
      let isRescheduled = try row.decode(Bool.self)
      let outcome: Outcome =
        switch status {
        case .ordered: isPlaced ? .placed(try Order(id: holdID, &row)) : .alreadyOrdered
        case .expired: .holdExpired
        case .released: .holdReleased
        case .active: throw UnknownValue(description: "an active hold was left without an order")
        }
      return (holdID, outcome, isRescheduled)
    }
  }
}
