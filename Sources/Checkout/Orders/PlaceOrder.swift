import FoundationEssentials
import Postgres

/// Turns a hold into an order, once.
package struct PlaceOrder: BatchedUseCase {
  struct Request: Sendable, Equatable {
    let holdID: ReservationID
    let idempotencyKey: String?
  }

  package enum Outcome: Sendable, Equatable {
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

  /// The batch's number, which no other batch has. Each order keeps it, plus the place of its request in the batch.
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
    try executeOncePerKey(requests, key: \.key, asReplay: \.asReplay, refusal: { _ in nil }) { chosen in
      let answers = try connection.transact(
        Statement(
          productID: productID, requests: chosen.map { requests[$0] }, batchNumber: mark, timeToLive: timeToLive))
      guard answers.count == chosen.count else { throw UnknownValue(description: "\(answers.count) outcomes") }
      if answers.contains(where: \.isRescheduled) { jobs.announce() }
      return answers.map(\.outcome)
    }
  }

  /// The same again: a transaction that is still under way has the holds locked, one that comes later finds them
  /// ordered, and an order that the batch placed is known by its number. Refusals are for good, so they are the same
  /// again.
  func resume(
    _ requests: [Request], lane productID: Int32, mark: Int64, on connection: isolated Connection
  ) throws -> [Outcome?] {
    defer { jobs.announce() }
    return try execute(requests, lane: productID, mark: mark, on: connection)
  }

  /// What the database says to one request, in the words of the metrics; `later` when nothing was done for it yet.
  enum Word: String, CaseIterable {
    case placed, replayed, later
    case keyReused = "key_reused"
    case holdNotFound = "hold_not_found"
    case alreadyOrdered = "already_ordered"
    case holdExpired = "hold_expired"
    case holdReleased = "hold_released"
  }

  private struct Statement: PreparedStatement {
    static let name = "place_orders"
    static let sql = "select * from flashsale.place_orders($1::integer, $2::uuid[], $3::text[], $4::bigint, $5::bigint)"
    let productID: Int32
    let requests: [Request]
    let batchNumber: Int64
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(requests.map(\.holdID.uuid))
      parameters.append(requests.named(\.idempotencyKey))
      parameters.append(Int64(timeToLive / .microseconds(1)))
      parameters.append(batchNumber)
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
        case .holdExpired: .holdExpired
        case .holdReleased: .holdReleased
        case .holdNotFound: .holdNotFound
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
