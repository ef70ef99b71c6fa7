import Postgres

/// A use case that is carried out for many callers in one round trip to the database.
protocol BatchedUseCase: Sendable {
  associatedtype Request: Sendable
  associatedtype Outcome: Sendable

  /// Two batches of one lane are never under way at once, and those in other lanes do not wait for them.
  associatedtype Lane: Hashable & Sendable
  func lane(of request: Request) -> Lane

  /// What a batch leaves behind in the database, by which its effect can be told from that of any other. Made before the
  /// batch is sent, so that it is known when the answer is not.
  associatedtype Mark: Sendable = Void
  func mark(for requests: [Request], lane: Lane) -> Mark

  /// Carries out all requests of a lane, in the order in which they came.
  ///
  /// In one transaction: when it fails, every caller is told so.
  ///
  /// - Returns: one outcome a request, in the same order; nil for one for which nothing was done, and which is among the
  ///   first in the next batch. There is an outcome for one of them at least, unless this has waited for what they need.
  /// - Throws: what every one of these callers is told.
  func execute(_ requests: [Request], lane: Lane, mark: Mark, on connection: isolated Connection) throws -> [Outcome?]

  /// Finds out what became of a batch whose answer was lost, which may still be under way in the database, or on the way
  /// there.
  ///
  /// - Returns: as `execute`; nil for one that has had no effect and cannot have any more.
  func resume(_ requests: [Request], lane: Lane, mark: Mark, on connection: isolated Connection) throws -> [Outcome?]

  /// Whether the use case changes nothing, so that nothing is lost with an answer of the database.
  static var isRead: Bool { get }

  /// Whether an outcome means that the stock of the product changed, or its status.
  func changesStock(_ outcome: Outcome) -> Bool

  /// What a caller is told when its batch failed with this error.
  static func translating(_ error: any Error) -> any Error

  /// How many lanes `executeTogether` may be given; 1 when it is not to be called.
  static var maximumLanes: Int { get }

  /// Does what `execute` does for several lanes in one round trip, without ever waiting for what another session has
  /// locked: one lane must not hold up the others.
  ///
  /// - Returns: for each lane its outcomes, as `execute`; all of them nil when the lane needs a batch to itself.
  func executeTogether(_ batches: [LaneBatch<Lane, Request, Mark>], on connection: isolated Connection) throws
    -> [[Outcome?]]
}

extension BatchedUseCase where Mark == Void {
  func mark(for requests: [Request], lane: Lane) {}
}

/// What is to be done for one lane.
struct LaneBatch<Lane: Sendable, Request: Sendable, Mark: Sendable>: Sendable {
  let lane: Lane
  let requests: [Request]
  let mark: Mark

  /// The outcomes of a lane for which nothing was done.
  func nothingDone<Outcome>() -> [Outcome?] { Array(repeating: nil, count: requests.count) }
}

extension BatchedUseCase {
  static var isRead: Bool { false }

  func changesStock(_ outcome: Outcome) -> Bool { false }

  static func translating(_ error: any Error) -> any Error { CheckoutError.translating(error, isRead: isRead) }

  static var maximumLanes: Int { 1 }

  func executeTogether(_ batches: [LaneBatch<Lane, Request, Mark>], on connection: isolated Connection) throws
    -> [[Outcome?]]
  {
    batches.map { $0.nothingDone() }
  }
}

/// A use case that has one effect when it is carried out twice, and an outcome that is still true, so that this is what is
/// done when an answer was lost.
protocol RepeatableUseCase: BatchedUseCase where Mark == Void {
  func execute(_ requests: [Request], lane: Lane, on connection: isolated Connection) throws -> [Outcome]
}

extension RepeatableUseCase {
  func execute(
    _ requests: [Request], lane: Lane, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    // Not left to a conversion: an outcome may itself be nil.
    try execute(requests, lane: lane, on: connection).map { .some($0) }
  }

  func resume(
    _ requests: [Request], lane: Lane, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    try execute(requests, lane: lane, mark: mark, on: connection)
  }
}
