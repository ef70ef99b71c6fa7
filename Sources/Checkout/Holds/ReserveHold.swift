import FoundationEssentials
import Postgres

/// Reserves units of a product for the time that a buyer needs to check out. First come, first served.
public struct ReserveHold: BatchedUseCase {
  struct Request: Sendable {
    let productID: Int32
    let quantity: Int32
  }

  public enum Outcome: Sendable, Equatable {
    case held(Hold)
    case insufficientStock
    case productNotFound
  }

  let database: Pool
  let jobs: JobRunner
  let timeToLive: Duration
  private let generator = ReservationIDGenerator()

  init(database: Pool, jobs: JobRunner, timeToLive: Duration) {
    self.database = database
    self.jobs = jobs
    self.timeToLive = timeToLive
  }

  func lane(of request: Request) -> Int32 { request.productID }

  func execute(_ requests: [Request], lane productID: Int32) async throws -> [Outcome] {
    let ids = requests.map { _ in generator.next(productID: productID) }
    let statement = Statement(
      productID: productID, ids: ids.map(\.uuid), quantities: requests.map(\.quantity), timeToLive: timeToLive)
    guard let granted = try await database.transact(statement).first else {
      return requests.map { _ in .productNotFound }
    }
    if granted.isRescheduled { jobs.announce() }
    return requests.indices.map { index in
      guard granted.flags[index], let expiresAt = granted.expiresAt else { return .insufficientStock }
      return .held(
        Hold(
          id: ids[index], quantity: requests[index].quantity, status: .active, expiresAt: expiresAt,
          remaining: timeToLive))
    }
  }

  private struct Statement: PreparedStatement {
    static let name = "reserve_holds"
    static let sql = "select * from reserve_holds($1::integer, $2::uuid[], $3::integer[], $4::bigint)"

    let productID: Int32
    let ids: [UUID]
    let quantities: [Int32]
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(ids)
      parameters.append(quantities)
      parameters.append(Int64(timeToLive / .microseconds(1)))
    }

    static func decode(_ row: inout Row) throws -> (flags: [Bool], expiresAt: Timestamp?, isRescheduled: Bool) {
      (try row.decode(), try row.decodeIfPresent(), try row.decode())
    }
  }
}
