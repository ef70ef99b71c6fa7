import FoundationEssentials
import Postgres

/// Turns a hold into an order, once.
public struct PlaceOrder: BatchedUseCase {
  struct Request: Sendable, Equatable {
    let holdID: ReservationID
    let idempotencyKey: String?
  }

  public enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: the order was placed by an earlier request under the same key.
    case placed(Order, isReplay: Bool)
    case holdNotFound
    case alreadyOrdered
    case holdExpired
    case holdReleased
    /// Another request came under the same key before.
    case keyReused
  }

  let jobs: JobRunner
  let timeToLive: Duration

  func lane(of request: Request) -> Int32 { request.holdID.productID }

  /// A number that no other batch has, which is kept with its orders, each with its place in the batch added to it.
  func mark(for requests: [Request], lane productID: Int32) -> Int64 {
    .random(in: 0...(.max >> 1))
  }

  /// An order takes no stock, but a product without stock left may be sold out then.
  func changesStock(_ outcome: Outcome) -> Bool {
    if case .placed(_, isReplay: false) = outcome { true } else { false }
  }

  func execute(
    _ requests: [Request], lane productID: Int32, mark: Int64, on connection: isolated Connection
  ) throws -> [Outcome?] {
    // Other requests under the same key may be another customer's, which the database knows.
    try executeOncePerKey(requests, key: \.key, asReplay: \.asReplay, toOthers: { _ in nil }) { chosen in
      let answers = try connection.transact(
        Statement(productID: productID, requests: chosen.map { requests[$0] }, batch: mark, timeToLive: timeToLive))
      guard answers.count == chosen.count else { throw UnknownValue(description: "\(answers.count) outcomes") }
      if answers.contains(where: \.isRescheduled) { jobs.announce() }
      return answers.map(\.outcome)
    }
  }

  /// The same again: a transaction that is still under way has the holds locked, one that comes later finds them ordered,
  /// and an order that the batch placed is known by its number. Refusals are for good, so they are the same again.
  func resume(
    _ requests: [Request], lane productID: Int32, mark: Int64, on connection: isolated Connection
  ) throws -> [Outcome?] {
    defer { jobs.announce() }
    return try execute(requests, lane: productID, mark: mark, on: connection)
  }

  /// What the database says to one request.
  private enum Word: String {
    case placed, replayed, expired, released, later
    case keyReused = "key_reused"
    case notFound = "not_found"
    case alreadyOrdered = "already_ordered"
  }

  private struct Statement: PreparedStatement {
    static let name = "place_orders"
    static let sql = "select * from flashsale.place_orders($1::integer, $2::uuid[], $3::text[], $4::bigint, $5::bigint)"
    let productID: Int32
    let requests: [Request]
    let batch: Int64
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(requests.map(\.holdID.uuid))
      parameters.append(requests.named(\.idempotencyKey))
      parameters.append(Int64(timeToLive / .microseconds(1)))
      parameters.append(batch)
    }

    static func decode(_ row: inout Row) throws -> (outcome: Outcome?, isRescheduled: Bool) {
      let word = try row.decodeCase(Word.self)
      let isRescheduled = try row.decode(Bool.self)
      let id = try row.decodeReservationID()
      let outcome: Outcome? =
        switch word {
        case .later: nil
        case .placed, .replayed: .placed(try Order(id: id, &row), isReplay: word == .replayed)
        case .alreadyOrdered: .alreadyOrdered
        case .expired: .holdExpired
        case .released: .holdReleased
        case .notFound: .holdNotFound
        case .keyReused: .keyReused
        }
      return (outcome, isRescheduled)
    }
  }
}

extension PlaceOrder.Request {
  fileprivate struct Key: Hashable {
    let text: VerbatimText
    let holdID: ReservationID
  }

  fileprivate var key: Key? {
    idempotencyKey.map { Key(text: VerbatimText($0), holdID: holdID) }
  }
}

extension PlaceOrder.Outcome {
  fileprivate var asReplay: Self {
    if case .placed(let order, _) = self { .placed(order, isReplay: true) } else { self }
  }
}
