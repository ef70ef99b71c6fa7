import DequeModule
import Dispatch
import Synchronization

/// A bounded set of connections to one database, lent by closure.
///
/// Callers wait in the order in which they came. A connection that broke is closed and replaced when next needed. While
/// the database is away, calls fail at once except for one attempt each back-off period, so that a crowd of requests
/// does not become a crowd of connection attempts.
public final class Pool: Sendable {
  /// Enough for every kind of batch to have one under way, besides jobs and administration.
  public static let defaultSize = 8

  /// Each statement under way occupies a thread of dispatch, which has 255; when all are taken, not even its timers go on.
  /// Requests to cancel take one each, too.
  public static let maximumSize = 100

  /// Told of each statement that `execute` ran, well or not, and how long its round trip took without waiting for a
  /// connection.
  public typealias StatementObserver = @Sendable (_ name: String, _ nanoseconds: Int64) -> Void

  private let configuration: ConnectionConfiguration
  private let size: Int
  private let onStatement: StatementObserver?
  private let state = Mutex(State())

  private struct State {
    /// The last one in is the first one out: its server process is the one with warm caches.
    var idle: [Connection] = []
    /// Connections that exist or are being made; never above the pool's size.
    var count = 0
    var waiters: Deque<Waiter> = []
    var nextWaiterID = 0
    var isClosed = false
    var backoff = Backoff()
    /// Set while the database is away: until `until`, and while one attempt is under way, others fail with `error` without
    /// being made.
    var away: (until: ContinuousClock.Instant, error: any Error, isBeingTried: Bool)?
  }

  private struct Waiter {
    let id: Int
    let continuation: CheckedContinuation<Turn, any Error>
  }

  /// What a caller may do next.
  private enum Turn {
    case use(Connection)
    /// A place in the pool is the caller's: make a connection for it, after closing the broken one that had it.
    case connect(replacing: Connection?)
  }

  /// - Parameter size: connections at most, 1 to `maximumSize`.
  public init(
    _ configuration: ConnectionConfiguration, size: Int = defaultSize, onStatement: StatementObserver? = nil
  ) {
    precondition(1...Self.maximumSize ~= size)
    self.configuration = configuration
    self.size = size
    self.onStatement = onStatement
  }

  /// Runs `statement` on a connection of the pool.
  ///
  /// - Throws: `PostgresError`, or `CancellationError`.
  public func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    guard let onStatement else { return try await withConnection { try await $0.execute(statement) } }
    return try await withConnection { connection in
      let start = DispatchTime.now().uptimeNanoseconds
      defer { onStatement(Statement.name, Int64(DispatchTime.now().uptimeNanoseconds - start)) }
      return try await connection.execute(statement)
    }
  }

  /// How the connections are used at this moment.
  public struct Usage: Sendable {
    /// Connections at most.
    public let size: Int
    /// On loan, or being made for somebody.
    public let inUse: Int
    /// Callers in line for one.
    public let waiting: Int
  }

  public var usage: Usage {
    state.withLock { Usage(size: size, inUse: $0.count - $0.idle.count, waiting: $0.waiters.count) }
  }

  /// Lends a connection for the length of `body`. One that comes back broken or inside a transaction is discarded.
  ///
  /// - Throws: `PostgresError.cannotConnect`, `PostgresError.poolUnavailable`, `CancellationError`, and what `body`
  ///   throws.
  public func withConnection<Result: Sendable>(
    _ body: @Sendable (Connection) async throws -> Result
  ) async throws -> Result {
    let connection = try await acquire()
    do {
      let result = try await body(connection)
      await release(connection)
      return result
    } catch {
      await release(connection)
      throw error
    }
  }

  /// Refuses new calls and closes the connections; those on loan are closed as they come back.
  public func close() async {
    let (idle, waiters) = state.withLock { state in
      state.isClosed = true
      defer { (state.idle, state.waiters) = ([], []) }
      return (state.idle, state.waiters)
    }
    for waiter in waiters { waiter.continuation.resume(throwing: Self.closed) }
    for connection in idle { await connection.close() }
  }

  private static let closed = PostgresError.poolUnavailable("the connection pool is closed")

  // MARK: Acquiring

  private func acquire() async throws -> Connection {
    switch try await turn() {
    case .use(let connection): return connection
    case .connect(let broken):
      await broken?.close()
      return try await connect()
    }
  }

  /// The caller's turn, waited for in line when every connection is on loan.
  private func turn() async throws -> Turn {
    let id = state.withLock { state in
      state.nextWaiterID += 1
      return state.nextWaiterID
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        // Filing the waiter and looking for a free connection happen under one lock, or a connection that comes back
        // between the two would be missed. Cancellation is looked at here too: `onCancel` may have run already, when
        // there was no waiter yet to remove.
        let outcome = state.withLock { state -> Result<Turn, any Error>? in
          if state.isClosed { return .failure(Self.closed) }
          if Task.isCancelled { return .failure(CancellationError()) }
          if let connection = state.idle.popLast() {
            return .success(connection.isReusable ? .use(connection) : .connect(replacing: connection))
          }
          if state.count < size {
            state.count += 1
            return .success(.connect(replacing: nil))
          }
          state.waiters.append(Waiter(id: id, continuation: continuation))
          return nil
        }
        if let outcome { continuation.resume(with: outcome) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
      }
      waiter?.continuation.resume(throwing: CancellationError())
    }
  }

  /// Makes a connection for a place that is already counted, or gives the place up.
  private func connect() async throws -> Connection {
    var isAttempt = false
    do {
      isAttempt = try state.withLock { state in
        guard let away = state.away else { return true }
        if away.isBeingTried || .now < away.until { throw away.error }
        state.away?.isBeingTried = true
        return true
      }
      let connection = try await Connection.connect(configuration)
      state.withLock { state in
        state.away = nil
        state.backoff.reset()
      }
      return connection
    } catch {
      // The place goes to the next in line, who fails as fast while the database is away: nobody waits for a
      // connection that nobody makes.
      let next = state.withLock { state -> Waiter? in
        if isAttempt { state.away = (.now + state.backoff.next(), error, false) }
        let next = state.waiters.popFirst()
        if next == nil { state.count -= 1 }
        return next
      }
      next?.continuation.resume(returning: .connect(replacing: nil))
      throw error
    }
  }

  // MARK: Releasing

  private func release(_ connection: Connection) async {
    let isReusable = connection.isReusable
    let (next, isKept) = state.withLock { state -> (Waiter?, Bool) in
      if let next = state.waiters.popFirst() { return (next, true) }
      if isReusable, !state.isClosed {
        state.idle.append(connection)
        return (nil, true)
      }
      state.count -= 1
      return (nil, false)
    }
    next?.continuation.resume(returning: isReusable ? .use(connection) : .connect(replacing: connection))
    if !isKept { await connection.close() }
  }
}
