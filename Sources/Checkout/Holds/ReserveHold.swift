import FoundationEssentials
import Postgres
import Time

/// Reserves units of a product for the time that a buyer needs to check out. First come, first served.
package struct ReserveHold: BatchedUseCase {
  struct Request: Sendable, Equatable {
    let productID: Int32
    let quantity: Int32
    let customerID: VerbatimText?
    let idempotencyKey: String?
  }

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: the hold was made by an earlier request under the same key.
    case held(Hold, isReplay: Bool)
    case insufficientStock(StockLeft)
    case saleNotStarted(startsAt: Timestamp, in: Duration)
    case saleEnded(endsAt: Timestamp)
    case quantityAboveLimit(Int32)
    /// The product has a limit per customer, and the request names none.
    case customerRequired
    case customerLimitReached(CustomerLimit)
    /// Another request came under the same key before.
    case keyReused
    case productNotFound
  }

  let jobs: JobRunner
  let timeToLive: Duration
  private let generator = ReservationIDGenerator()

  init(jobs: JobRunner, timeToLive: Duration) {
    self.jobs = jobs
    self.timeToLive = timeToLive
  }

  func lane(of request: Request) -> Int32 { request.productID }

  /// The numbers of the holds that are to be made.
  func mark(for requests: [Request], lane productID: Int32) -> [ReservationID] {
    requests.map { _ in generator.next(productID: productID) }
  }

  func changesStock(_ outcome: Outcome) -> Bool {
    if case .held(_, isReplay: false) = outcome { true } else { false }
  }

  func execute(
    _ requests: [Request], lane productID: Int32, mark ids: [ReservationID], on connection: isolated Connection
  ) throws -> [Outcome?] {
    try executeOncePerKey(requests, key: \.key, asReplay: \.asReplay, refusal: \.refusalOfOthers) { chosen in
      try reserve(chosen.map { requests[$0] }, as: chosen.map { ids[$0] }, productID: productID, on: connection)
    }
  }

  /// Whoever has no hold by now, although nothing can make one of that number any more, goes into another batch, with
  /// another number.
  func resume(
    _ requests: [Request], lane productID: Int32, mark ids: [ReservationID], on connection: isolated Connection
  ) throws -> [Outcome?] {
    _ = try connection.transact(VoidStatement(productID: productID, ids: ids))
    jobs.announce()
    return try ReadHold().execute(ids, lane: productID, on: connection).map { hold in
      // Nobody has been told the number of a hold without a key, so it can only be void. Under a key it may have been
      // released since by whoever asked again, which the next batch finds out.
      guard let hold, hold.status != .released else { return nil }
      return .held(hold, isReplay: false)
    }
  }

  /// Products that are asked for together are served together as long as nothing stands in the way. With fewer, and far
  /// larger, transactions the sale of a thousand products is nearly as fast as that of one.
  ///
  /// Each takes up to two advisory locks, of which PostgreSQL by default has room for some thousands.
  static let maximumLanes = 128

  func executeTogether(
    _ batches: [LaneBatch<Int32, Request, [ReservationID]>], on connection: isolated Connection
  ) throws -> [[Outcome?]] {
    // With a key that comes twice, a lane has a batch to itself.
    let requests = batches.map { batch in
      let keys = batch.requests.compactMap(\.key)
      return Set(keys).count == keys.count ? batch.requests : []
    }
    let ids = zip(batches, requests).flatMap { batch, requests in batch.mark.prefix(requests.count) }
    let statement = JointStatement(ids: ids, requests: requests.flatMap { $0 }, timeToLive: timeToLive)
    guard let answer = try connection.transact(statement).first else { throw UnknownValue(description: "no answer") }
    return batches.map { batch in
      guard answer.served.contains(batch.lane) else { return batch.noOutcomes() }
      return zip(batch.requests, batch.mark).map { request, id in
        let hold = Hold(
          id: id, quantity: request.quantity, status: .active, expiresAt: answer.heldUntil, remaining: timeToLive)
        return .held(hold, isReplay: false)
      }
    }
  }

  /// - Parameter requests: each key at most once for a customer.
  /// - Returns: one outcome a request; nil for one that waits for units which another session has locked.
  private func reserve(
    _ requests: [Request], as newIDs: [ReservationID], productID: Int32, on connection: isolated Connection
  ) throws -> [Outcome?] {
    let statement = Statement(productID: productID, ids: newIDs, requests: requests, timeToLive: timeToLive)
    guard let answer = try connection.transact(statement).first else {
      return requests.map { _ in .productNotFound }
    }
    if answer.isRescheduled { jobs.announce() }
    // A hold that was made before is answered as it now stands.
    let ids = answer.ids ?? newIDs
    let replayedIDs = zip(ids, answer.words).compactMap { id, word in word == .replayed ? id : nil }
    var replayed: [ReservationID: Hold] = [:]
    if !replayedIDs.isEmpty {
      do {
        for case let hold? in try ReadHold().execute(replayedIDs, lane: productID, on: connection) {
          replayed[hold.id] = hold
        }
      } catch {
        // The new holds are there already, so nobody may be told that nothing was done: they have to be found again.
        throw OutcomeLost(reason: "read_holds: \(error)")
      }
    }
    return try requests.indices.map { index in
      let (request, id, word) = (requests[index], ids[index], answer.words[index])
      switch word {
      case .later: return nil
      case .customerLimitReached: return .customerLimitReached(try answer.customerLimit(at: index))
      case .held:
        guard let expiresAt = answer.heldUntil else { throw UnknownValue(description: "a hold without an end") }
        let hold = Hold(
          id: id, quantity: request.quantity, status: .active, expiresAt: expiresAt, remaining: timeToLive)
        return .held(hold, isReplay: false)
      case .replayed:
        guard let hold = replayed[id] else {
          throw OutcomeLost(reason: "read_holds: a key without its hold")
        }
        return .held(hold, isReplay: true)
      default:
        guard let refusal = answer.refusals[word] else { throw UnknownValue(description: "\(word) without a reason") }
        return refusal
      }
    }
  }

  /// What the database says to one request, in the words of the metrics; `later` when nothing was done for it yet.
  enum Word: String, CaseIterable {
    case held, replayed, later
    case keyReused = "key_reused"
    case insufficientStock = "insufficient_stock"
    case quantityAboveLimit = "quantity_above_limit"
    case customerRequired = "customer_required"
    case customerLimitReached = "customer_limit_reached"
    case saleNotStarted = "sale_not_started"
    case saleEnded = "sale_ended"
  }

  private struct Answer {
    let words: [Word]
    let heldUntil: Timestamp?
    let isRescheduled: Bool
    /// Nil when no request had a key.
    let ids: [ReservationID]?
    /// The outcome that a word stands for, where it is the same for all.
    let refusals: [Word: Outcome]
    let maximumPerCustomer: Int32?
    /// For each request at its customer's limit when the first unit of that customer comes back, in microseconds, and
    /// how long that is; 0 when it is not known. Nil when there is no such request.
    let limitEnds: (at: [Int64], in: [Int64])?

    func customerLimit(at index: Int) throws -> CustomerLimit {
      guard let maximumPerCustomer, let limitEnds else { throw UnknownValue(description: "a limit without a reason") }
      let isKnown = limitEnds.at[index] > 0
      return CustomerLimit(
        maximum: maximumPerCustomer,
        nextReleaseAt: isKnown ? Timestamp(microsecondsSince1970: limitEnds.at[index]) : nil,
        nextReleaseIn: isKnown ? .microseconds(limitEnds.in[index]) : nil)
    }
  }

  private struct Statement: PreparedStatement {
    static let name = "reserve_holds"
    static let sql = """
      select * from flashsale.reserve_holds(
        $1::integer, $2::uuid[], $3::integer[], $4::bigint, $5::text[], $6::text[], $7::integer[])
      """

    let productID: Int32
    let ids: [ReservationID]
    let requests: [Request]
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(ids.map(\.uuid))
      parameters.append(requests.map(\.quantity))
      parameters.append(Int64(timeToLive / .microseconds(1)))
      parameters.append(requests.named(\.idempotencyKey))
      // Each customer once, so that the database counts what it has once.
      var positions: [VerbatimText: Int32] = [:]
      var customers: [String] = []
      let positionOf = requests.map { request in
        request.customerID.map { customer in
          if let known = positions[customer] { return known }
          customers.append(customer.text)
          positions[customer] = Int32(customers.count)
          return Int32(customers.count)
        }
      }
      parameters.append(customers.isEmpty ? nil : customers)
      parameters.append(customers.isEmpty ? nil : positionOf)
    }

    static func decode(_ row: inout Row) throws -> Answer {
      let words = try row.decode([String].self).map { text in
        guard let word = Word(rawValue: text) else { throw UnknownValue(description: "\(text) is no outcome") }
        return word
      }
      let heldUntil = try row.decodeIfPresent(Timestamp.self)
      let isRescheduled = try row.decode(Bool.self)
      let ids = try row.decodeIfPresent([UUID].self)?.compactMap { ReservationID($0) }
      var refusals: [Word: Outcome] = [.keyReused: .keyReused, .customerRequired: .customerRequired]
      if let stockLeft = try StockLeft(&row) { refusals[.insufficientStock] = .insufficientStock(stockLeft) }
      let startsAt = try row.decodeIfPresent(Timestamp.self)
      let startsIn = try row.decodeIfPresent(Int64.self)
      if let startsAt, let startsIn {
        refusals[.saleNotStarted] = .saleNotStarted(startsAt: startsAt, in: .microseconds(startsIn))
      }
      if let endsAt = try row.decodeIfPresent(Timestamp.self) { refusals[.saleEnded] = .saleEnded(endsAt: endsAt) }
      if let maximum = try row.decodeIfPresent(Int32.self) {
        refusals[.quantityAboveLimit] = .quantityAboveLimit(maximum)
      }
      let maximumPerCustomer = try row.decodeIfPresent(Int32.self)
      let (limitEndsAt, limitEndsIn) = (
        try row.decodeIfPresent([Int64].self), try row.decodeIfPresent([Int64].self)
      )
      return Answer(
        words: words, heldUntil: heldUntil, isRescheduled: isRescheduled, ids: ids, refusals: refusals,
        maximumPerCustomer: maximumPerCustomer,
        limitEnds: limitEndsAt.flatMap { at in limitEndsIn.map { (at, $0) } })
    }
  }
}

extension ReserveHold {
  private struct VoidStatement: PreparedStatement {
    static let name = "void_holds"
    static let sql = "select flashsale.void_holds($1::integer, $2::uuid[])"
    let productID: Int32
    let ids: [ReservationID]

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(ids.map(\.uuid))
    }

    static func decode(_ row: inout Row) throws {}
  }

  private struct JointStatement: PreparedStatement {
    static let name = "reserve_holds_together"
    static let sql = """
      select * from flashsale.reserve_holds_together(
        $1::integer[], $2::uuid[], $3::integer[], $4::bigint, $5::text[], $6::text[])
      """

    let ids: [ReservationID]
    let requests: [Request]
    let timeToLive: Duration

    func bind(to parameters: inout Parameters) {
      parameters.append(requests.map(\.productID))
      parameters.append(ids.map(\.uuid))
      parameters.append(requests.map(\.quantity))
      parameters.append(Int64(timeToLive / .microseconds(1)))
      parameters.append(requests.named(\.idempotencyKey))
      parameters.append(requests.named(\.customerID?.text))
    }

    static func decode(_ row: inout Row) throws -> (served: Set<Int32>, heldUntil: Timestamp) {
      (Set(try row.decodeIfPresent([Int32].self) ?? []), try row.decode())
    }
  }
}

extension ReserveHold.Request {
  /// What the request's key is known by: nobody is told of another customer's hold.
  fileprivate struct Key: Hashable {
    let text: VerbatimText
    let customerID: VerbatimText?
  }

  fileprivate var key: Key? {
    idempotencyKey.map { Key(text: VerbatimText($0), customerID: customerID) }
  }
}

extension ReserveHold.Outcome {
  fileprivate var asReplay: Self {
    if case .held(let hold, _) = self { .held(hold, isReplay: true) } else { self }
  }

  fileprivate var refusalOfOthers: Self? {
    if case .held = self { .keyReused } else { nil }
  }
}
