import FoundationEssentials
import Postgres

/// Places an order from a hold. A hold becomes at most one order.
package struct PlaceOrder: BatchedUseCase {
  struct Request: Sendable, Equatable {
    let holdID: ReservationID
    let idempotencyKey: String?
    /// The order also has the metadata of its hold.
    var metadata: Metadata? = nil
  }

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: an earlier request with the same key placed the order.
    case placed(Order, isReplay: Bool)
    case holdNotFound
    case alreadyOrdered
    case holdExpired
    case holdReleased
    /// Another request used the key before.
    case keyReused
  }

  let jobs: JobRunner
  let timeToLive: Duration

  func lane(of request: Request) -> Int32 { request.holdID.productID }

  /// The random number of the batch. Each order stores this number plus the place of its request in the batch.
  func mark(for requests: [Request], lane productID: Int32) -> Int64 {
    .random(in: 0...(.max >> 1))
  }

  /// An order takes no units. But it can change the product's status from `reserved_out` to `sold_out`.
  func changesStock(_ outcome: Outcome) -> Bool {
    if case .placed(_, isReplay: false) = outcome { true } else { false }
  }

  func execute(
    _ requests: [Request], lane productID: Int32, mark: Int64, on connection: isolated Connection
  ) throws -> [Outcome?] {
    // The hold's customer is part of the key, and only the database knows it. So the database compares other requests.
    try executeOncePerKey(requests, key: \.key, asReplay: \.asReplay, refusal: { _ in nil }) { chosen in
      let answers = try connection.transact(
        Statement(
          productID: productID, requests: chosen.map { requests[$0] }, batchNumber: mark, timeToLive: timeToLive))
      guard answers.count == chosen.count else { throw UnknownValue(description: "\(answers.count) outcomes") }
      if answers.contains(where: \.isRescheduled) { jobs.announce() }
      return answers.map(\.outcome)
    }
  }

  /// Runs the batch again. If the lost transaction is still under way, it has the holds locked, and this one waits. If
  /// it comes later, it finds the holds ordered. The request numbers show which orders belong to the batch. Refusals
  /// are final, so a second attempt returns the same ones.
  func resume(
    _ requests: [Request], lane productID: Int32, mark: Int64, on connection: isolated Connection
  ) throws -> [Outcome?] {
    defer { jobs.announce() }
    return try execute(requests, lane: productID, mark: mark, on: connection)
  }

  /// The outcome of one request in SQL. `later` means that nothing was done yet.
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
    static let sql = """
      select * from flashsale.place_orders(
        $1::integer, $2::uuid[], $3::text[], $4::bigint, $5::bigint, $6::text[])
      """
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
      parameters.append(requests.named(\.metadata?.json))
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
