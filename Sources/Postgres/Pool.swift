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

  private let configuration: ConnectionConfiguration
  private let size: Int
  private let onStatement: Connection.StatementObserver?
  private let state = Mutex(State())
  private let failures = DispatchQueue(label: "postgres.pool.failures")

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

    /// What a call fails with that would need a new connection now; nil when one may be made.
    var reasonNotToTry: (any Error)? {
      guard let away, away.isBeingTried || .now < away.until else { return nil }
      return away.error
    }
  }

  /// Somebody who asked for a connection, to be called once, on any thread.
  private struct Waiter {
    /// Nil for one that no cancellation takes out of the line.
    let id: Int?
    let completion: @Sendable (Result<Turn, any Error>) -> Void
  }

  /// What a caller may do next.
  private enum Turn {
    case use(Connection)
    /// A place in the pool is the caller's: make a connection for it, after closing the broken one that had it.
    case connect(replacing: Connection?)
  }

  /// - Parameters:
  ///   - size: connections at most, 1 to `maximumSize`.
  ///   - onStatement: told of what runs on any of them.
  public init(
    _ configuration: ConnectionConfiguration, size: Int = defaultSize, onStatement: Connection.StatementObserver? = nil
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
    try await withConnection { try await $0.execute(statement) }
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
      if release(connection) { await connection.close() }
      return result
    } catch {
      if release(connection) { await connection.close() }
      throw error
    }
  }

  /// Lends a connection as `withConnection` does, to somebody who has no task to wait in.
  ///
  /// - Parameters:
  ///   - body: runs on the connection's executor, and returns what is to be done once the connection is back: who asks for
  ///     one then is likely to get the same, on the same thread.
  ///   - failure: called instead, after this has returned, when there is no connection to be had. Whoever asks again from
  ///     there does so on a fresh stack.
  public func lend(
    to body: @escaping @Sendable (isolated Connection) -> @Sendable () -> Void,
    failure: @escaping @Sendable (any Error) -> Void
  ) {
    acquire(waiterID: nil) { [self] result in
      switch result {
      case .failure(let error): failures.async { failure(error) }
      case .success(let connection):
        connection.perform { [self] connection in
          let next = body(connection)
          if release(connection) { connection.close() }
          next()
        }
      }
    }
  }

  /// Refuses new calls and closes the connections; those on loan are closed as they come back.
  public func close() async {
    let (idle, waiters) = state.withLock { state in
      state.isClosed = true
      defer { (state.idle, state.waiters) = ([], []) }
      return (state.idle, state.waiters)
    }
    for waiter in waiters { waiter.completion(.failure(Self.closed)) }
    for connection in idle { await connection.close() }
  }

  private static let closed = PostgresError.poolUnavailable("the connection pool is closed")

  // MARK: Acquiring

  private func acquire() async throws -> Connection {
    let id = state.withLock { state in
      state.nextWaiterID += 1
      return state.nextWaiterID
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        acquire(waiterID: id) { continuation.resume(with: $0) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
      }
      waiter?.completion(.failure(CancellationError()))
    }
  }

  /// Gets the caller a connection, in line when every one is on loan.
  ///
  /// - Parameter waiterID: nil for somebody who asks on behalf of others: that the task in which it happens to run is
  ///   cancelled means nothing then.
  private func acquire(waiterID: Int?, _ completion: @escaping @Sendable (Result<Connection, any Error>) -> Void) {
    let waiter = Waiter(id: waiterID) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(.use(let connection)): completion(.success(connection))
      case .success(.connect(let broken)):
        guard let broken else { return connect(completion) }
        broken.perform { [self] in
          $0.close()
          connect(completion)
        }
      }
    }
    // Filing the waiter and looking for a free connection happen under one lock, or a connection that comes back
    // between the two would be missed. Cancellation is looked at here too: whoever removes a cancelled waiter may have
    // been here already, when there was none yet.
    let outcome = state.withLock { state -> Result<Turn, any Error>? in
      if state.isClosed { return .failure(Self.closed) }
      if waiterID != nil, Task.isCancelled { return .failure(CancellationError()) }
      if let connection = state.idle.popLast() {
        return .success(connection.isReusable ? .use(connection) : .connect(replacing: connection))
      }
      if state.count < size {
        state.count += 1
        return .success(.connect(replacing: nil))
      }
      state.waiters.append(waiter)
      return nil
    }
    if let outcome { waiter.completion(outcome) }
  }

  /// Makes a connection for a place that is already counted, or gives the place up.
  private func connect(_ completion: @escaping @Sendable (Result<Connection, any Error>) -> Void) {
    let known = state.withLock { state in
      let known = state.reasonNotToTry
      if known == nil { state.away?.isBeingTried = true }
      return known
    }
    if let known {
      completion(.failure(known))
      return passOnPlace()
    }
    Connection(configuration, onStatement: onStatement).perform { [self] connection in
      do {
        try connection.open()
      } catch {
        state.withLock { $0.away = (.now + $0.backoff.next(), error, false) }
        completion(.failure(error))
        return passOnPlace()
      }
      state.withLock { state in
        state.away = nil
        state.backoff.reset()
      }
      completion(.success(connection))
    }
  }

  /// The place goes to the next in line, who fails as fast while the database is away: nobody waits for a connection that
  /// nobody makes.
  private func passOnPlace() {
    while true {
      let (next, known) = state.withLock { state in
        let next = state.waiters.popFirst()
        if next == nil { state.count -= 1 }
        return (next, state.reasonNotToTry)
      }
      guard let next else { return }
      guard let known else { return next.completion(.success(.connect(replacing: nil))) }
      next.completion(.failure(known))
    }
  }

  // MARK: Releasing

  /// - Returns: whether the connection is nobody's any more, for the caller to close.
  private func release(_ connection: Connection) -> Bool {
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
    next?.completion(.success(isReusable ? .use(connection) : .connect(replacing: connection)))
    return !isKept
  }
}
