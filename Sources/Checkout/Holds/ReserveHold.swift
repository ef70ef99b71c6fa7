import FoundationEssentials
import Postgres
import Time

/// Places a hold: keeps units of a product for a buyer for `timeToLive`. First come, first served.
package struct ReserveHold: BatchedUseCase {
  struct Request: Sendable, Equatable {
    let productID: Int32
    let quantity: Int32
    let customerID: VerbatimText?
    let idempotencyKey: String?
    var metadata: Metadata? = nil
  }

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: an earlier request with the same key placed the hold.
    case held(Hold, isReplay: Bool)
    case insufficientStock(StockLeft)
    case saleNotStarted(startsAt: Timestamp, in: Duration)
    case salePaused
    case saleEnded(endsAt: Timestamp)
    /// The quantity is above `max_quantity_per_hold`, the associated value.
    case quantityAboveLimit(Int32)
    /// The product has a limit per customer, and the request names no customer.
    case customerRequired
    case customerLimitReached(CustomerLimit)
    /// Another request used the key before.
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

  /// The ids of the new holds.
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

  /// Inserts a released hold for each id that no hold has, so the lost transaction can no longer insert it. Then reads
  /// the holds. A request without a hold goes into another batch, with another id.
  func resume(
    _ requests: [Request], lane productID: Int32, mark ids: [ReservationID], on connection: isolated Connection
  ) throws -> [Outcome?] {
    _ = try connection.transact(VoidStatement(productID: productID, ids: ids))
    jobs.announce()
    return try ReadHold().execute(ids, lane: productID, on: connection).map { hold in
      // A released hold without a key is one that `void_holds` inserted, because no client knows its id. A hold with a
      // key may have been released by a client that repeated the request. The next batch reads such a hold by its key.
      guard let hold, hold.status != .released else { return nil }
      return .held(hold, isReplay: false)
    }
  }

  /// Products with enough stock, no limits and no locks are reserved in one transaction. With fewer and larger
  /// transactions, the sale of a thousand products is nearly as fast as that of one.
  ///
  /// Each product takes an advisory lock on its jobs, and one for each key. PostgreSQL has room for some thousands by
  /// default.
  static let maximumLanes = 128

  func executeTogether(
    _ batches: [LaneBatch<Int32, Request, [ReservationID]>], on connection: isolated Connection
  ) throws -> [[Outcome?]] {
    // A lane with two requests of one key needs a batch to itself.
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
          id: id, quantity: request.quantity, status: .active, expiresAt: answer.heldUntil, remaining: timeToLive,
          metadata: request.metadata)
        return .held(hold, isReplay: false)
      }
    }
  }

  /// - Parameter requests: a key comes at most once for each customer.
  /// - Returns: one outcome for each request; nil for a request that depends on units which another session has locked.
  private func reserve(
    _ requests: [Request], as newIDs: [ReservationID], productID: Int32, on connection: isolated Connection
  ) throws -> [Outcome?] {
    let statement = Statement(productID: productID, ids: newIDs, requests: requests, timeToLive: timeToLive)
    guard let answer = try connection.transact(statement).first else {
      return requests.map { _ in .productNotFound }
    }
    guard answer.words.count == requests.count, (answer.ids ?? newIDs).count == requests.count else {
      throw UnknownValue(description: "\(answer.words.count) outcomes for \(requests.count) requests")
    }
    if answer.isRescheduled { jobs.announce() }
    // A replay returns the hold as it is now.
    let ids = answer.ids ?? newIDs
    let replayedIDs = zip(ids, answer.words).compactMap { id, word in word == .replayed ? id : nil }
    var replayed: [ReservationID: Hold] = [:]
    if !replayedIDs.isEmpty {
      do {
        for case let hold? in try ReadHold().execute(replayedIDs, lane: productID, on: connection) {
          replayed[hold.id] = hold
        }
      } catch {
        // The new holds are committed. Another error would say that nothing was done. This one resolves the batch.
        throw OutcomeLost(reason: "read_holds: \(error)")
      }
    }
    return try requests.indices.map { index in
      let (id, word) = (ids[index], answer.words[index])
      switch word {
      case .later: return nil
      case .held:
        let hold = Hold(
          id: id, quantity: requests[index].quantity, status: .active, expiresAt: try answer.with(word, \.heldUntil),
          remaining: timeToLive, metadata: requests[index].metadata)
        return .held(hold, isReplay: false)
      case .replayed:
        guard let hold = replayed[id] else { throw OutcomeLost(reason: "read_holds: a key without its hold") }
        return .held(hold, isReplay: true)
      case .keyReused: return .keyReused
      case .insufficientStock: return .insufficientStock(try answer.with(word, \.stockLeft))
      case .quantityAboveLimit: return .quantityAboveLimit(try answer.with(word, \.maximumPerHold))
      case .customerRequired: return .customerRequired
      case .customerLimitReached: return .customerLimitReached(try answer.customerLimit(at: index))
      case .saleNotStarted:
        return .saleNotStarted(startsAt: try answer.with(word, \.startsAt), in: try answer.with(word, \.startsIn))
      case .salePaused: return .salePaused
      case .saleEnded: return .saleEnded(endsAt: try answer.with(word, \.endsAt))
      }
    }
  }

  /// The outcome of one request in SQL. `later` means that nothing was done yet.
  enum Word: String, CaseIterable {
    case held, replayed, later
    case keyReused = "key_reused"
    case insufficientStock = "insufficient_stock"
    case quantityAboveLimit = "quantity_above_limit"
    case customerRequired = "customer_required"
    case customerLimitReached = "customer_limit_reached"
    case saleNotStarted = "sale_not_started"
    case salePaused = "sale_paused"
    case saleEnded = "sale_ended"
  }

  /// The row of a batch. A value that only some words need is nil without them.
  private struct Answer {
    /// One for each request.
    let words: [Word]
    let heldUntil: Timestamp?
    let isRescheduled: Bool
    /// Nil when no request had a key.
    let ids: [ReservationID]?
    let stockLeft: StockLeft?
    let startsAt: Timestamp?
    let startsIn: Duration?
    let endsAt: Timestamp?
    let maximumPerHold: Int32?
    let maximumPerCustomer: Int32?
    /// When the first unit of each request's customer comes back, in microseconds since 1970. 0 is unknown. Nil when no
    /// request is at its customer's limit.
    let limitEndsAt: [Int64]?
    /// The same in microseconds from now.
    let limitEndsIn: [Int64]?

    /// The value that a word needs.
    ///
    /// - Throws: `UnknownValue` when the value is missing.
    func with<Value>(_ word: Word, _ value: KeyPath<Self, Value?>) throws -> Value {
      guard let value = self[keyPath: value] else { throw UnknownValue(description: "\(word) without \(value)") }
      return value
    }

    func customerLimit(at index: Int) throws -> CustomerLimit {
      let endsAt = try with(.customerLimitReached, \.limitEndsAt)[index]
      let endsIn = try with(.customerLimitReached, \.limitEndsIn)[index]
      return CustomerLimit(
        maximum: try with(.customerLimitReached, \.maximumPerCustomer),
        nextReleaseAt: endsAt > 0 ? Timestamp(microsecondsSince1970: endsAt) : nil,
        nextReleaseIn: endsAt > 0 ? .microseconds(endsIn) : nil)
    }
  }

  private struct Statement: PreparedStatement {
    static let name = "reserve_holds"
    static let sql = """
      select * from flashsale.reserve_holds(
        $1::integer, $2::uuid[], $3::integer[], $4::bigint, $5::text[], $6::text[], $7::integer[], $8::text[])
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
      // Each customer comes once, so the database counts the customer's units once.
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
      parameters.append(requests.named(\.metadata?.json))
    }

    static func decode(_ row: inout Row) throws -> Answer {
      Answer(
        words: try row.decodeCases(), heldUntil: try row.decodeIfPresent(), isRescheduled: try row.decode(),
        ids: try row.decodeReservationIDsIfPresent(), stockLeft: try StockLeft(&row),
        startsAt: try row.decodeIfPresent(), startsIn: try row.decodeIfPresent(Int64.self).map { .microseconds($0) },
        endsAt: try row.decodeIfPresent(), maximumPerHold: try row.decodeIfPresent(),
        maximumPerCustomer: try row.decodeIfPresent(), limitEndsAt: try row.decodeIfPresent(),
        limitEndsIn: try row.decodeIfPresent())
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
        $1::integer[], $2::uuid[], $3::integer[], $4::bigint, $5::text[], $6::text[], $7::text[])
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
      parameters.append(requests.named(\.metadata?.json))
    }

    static func decode(_ row: inout Row) throws -> (served: Set<Int32>, heldUntil: Timestamp) {
      (Set(try row.decodeIfPresent([Int32].self) ?? []), try row.decode())
    }
  }
}

extension ReserveHold.Request {
  /// The customer is part of the key, so no request gets another customer's hold.
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
