import Postgres

/// A use case that runs many requests in one round trip to the database.
protocol BatchedUseCase: Sendable {
  associatedtype Request: Sendable
  associatedtype Outcome: Sendable

  /// A lane has at most one batch under way. Lanes do not wait for each other.
  associatedtype Lane: Hashable & Sendable
  func lane(of request: Request) -> Lane

  /// Numbers that a batch writes with its holds or orders. They show later whether the batch was committed. They are
  /// made before the batch is sent, so they are known after a lost answer.
  associatedtype Mark: Sendable = Void
  func mark(for requests: [Request], lane: Lane) -> Mark

  /// Runs the requests of a lane in one transaction, in the order of their arrival.
  ///
  /// - Returns: one outcome for each request, in the same order. Nil when nothing was done for the request; it then
  ///   comes first in the next batch. At least one is not nil, unless this has waited for locks that the requests need.
  /// - Throws: the error of all requests. `Batcher` translates it.
  func execute(_ requests: [Request], lane: Lane, mark: Mark, on connection: isolated Connection) throws -> [Outcome?]

  /// Finds the outcomes of a batch whose answer was lost. The batch may still be under way, or not have reached the
  /// database.
  ///
  /// - Returns: as `execute`. Nil for a request that had no effect and can no longer have one.
  /// - Throws: when the outcomes are still unknown.
  func resume(_ requests: [Request], lane: Lane, mark: Mark, on connection: isolated Connection) throws -> [Outcome?]

  /// Whether the use case changes nothing. Then a lost answer means only that there is no result.
  static var isRead: Bool { get }

  /// Whether the outcome changed the stock or the status of the product.
  func changesStock(_ outcome: Outcome) -> Bool

  /// Translates the error of a batch into the error of its callers.
  static func translating(_ error: any Error) -> any Error

  /// The largest number of lanes for `executeTogether`. At 1 it is not called.
  static var maximumLanes: Int { get }

  /// Runs the requests of several lanes in one round trip. It must not wait for locks, because one lane must not delay
  /// the others.
  ///
  /// - Returns: the outcomes of each lane, as `execute`. All are nil when the lane needs a batch to itself.
  /// - Throws: as `execute`. After an error of the server, each lane gets a batch to itself.
  func executeTogether(_ batches: [LaneBatch<Lane, Request, Mark>], on connection: isolated Connection) throws
    -> [[Outcome?]]
}

extension BatchedUseCase where Mark == Void {
  func mark(for requests: [Request], lane: Lane) {}
}

/// The requests of one lane in a batch.
struct LaneBatch<Lane: Sendable, Request: Sendable, Mark: Sendable>: Sendable {
  let lane: Lane
  let requests: [Request]
  let mark: Mark

  /// Nil for each request: nothing was done.
  func noOutcomes<Outcome>() -> [Outcome?] { Array(repeating: nil, count: requests.count) }
}

extension BatchedUseCase {
  static var isRead: Bool { false }

  func changesStock(_ outcome: Outcome) -> Bool { false }

  static func translating(_ error: any Error) -> any Error { CheckoutError.translating(error, isRead: isRead) }

  static var maximumLanes: Int { 1 }

  func executeTogether(_ batches: [LaneBatch<Lane, Request, Mark>], on connection: isolated Connection) throws
    -> [[Outcome?]]
  {
    batches.map { $0.noOutcomes() }
  }
}

/// A use case that may run twice: the second run has no further effect, and its outcome is correct. After a lost answer
/// it runs again.
protocol RepeatableUseCase: BatchedUseCase where Mark == Void {
  func execute(_ requests: [Request], lane: Lane, on connection: isolated Connection) throws -> [Outcome]
}

extension RepeatableUseCase {
  func execute(
    _ requests: [Request], lane: Lane, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    // `Outcome` may be an optional. `.some` keeps a nil outcome apart from no outcome.
    try execute(requests, lane: lane, on: connection).map { .some($0) }
  }

  func resume(
    _ requests: [Request], lane: Lane, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    try execute(requests, lane: lane, mark: mark, on: connection)
  }
}
