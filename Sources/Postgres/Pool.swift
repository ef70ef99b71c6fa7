import DequeModule
import Dispatch
import Synchronization
import Time

/// A bounded set of connections to one database, lent by closure.
///
/// Callers wait in the order of their arrival. The pool closes a broken connection, and opens another one when it is
/// needed.
///
/// If connecting fails, the waiter queues for an existing connection. If there is none, all waiters fail. The pool then
/// makes one attempt to connect in each back-off period. So many requests do not cause many attempts. A caller during an
/// attempt waits for its end. A caller between two attempts fails at once.
package final class Pool: Sendable {
  /// Connections by default. They serve reads, batches that change products, one stuck batch, jobs and administration.
  package static let defaultSize = 8

  /// The largest size of a pool. A statement under way uses one of dispatch's 255 threads, and so does a cancel
  /// request. Without a free thread, dispatch's timers stop, too.
  package static let maximumSize = 100

  private let configuration: ConnectionConfiguration
  private let size: Int
  private let names: StatementNames
  private let onStatement: Connection.StatementObserver?
  private let onRefusal: Connection.RefusalObserver?
  private let onAvailability: AvailabilityObserver?
  private let state: Mutex<State>
  private let failures = DispatchQueue(label: "postgres.pool.failures")

  private struct State {
    /// The pool lends the last returned connection first, because its backend has warm caches.
    var idle: [Connection] = []
    /// Connections that are open or being opened; at most the pool's size.
    var count = 0
    var waiters: Deque<Waiter> = []
    private var lastWaiterID = 0
    var isOpen: Bool
    var isClosed = false
    /// The last connection is gone, and connecting failed.
    var isUnavailable = false
    var backoff = Backoff()
    /// The last failure to connect; nil after a success. The next attempt may start at `until`, unless one is under
    /// way.
    var failure: (until: Moment, error: any Error, isConnecting: Bool)?

    init(isOpen: Bool) {
      self.isOpen = isOpen
    }

    mutating func newWaiterID() -> Int {
      lastWaiterID += 1
      return lastWaiterID
    }

    /// The error of a call that needs a new connection now. Nil when an attempt to connect may start.
    var backoffError: (any Error)? {
      guard let failure, failure.isConnecting || .now < failure.until else { return nil }
      return failure.error
    }
  }

  /// A caller that asked for a connection.
  private struct Waiter {
    /// Increases in the order of arrival.
    let id: Int
    /// Called once, on any thread.
    let completion: @Sendable (Result<Connection, any Error>) -> Void
  }

  /// The next step for a waiter.
  private enum Step {
    case use(Connection)
    /// Open a connection for the waiter, after closing the broken one. `count` already includes it.
    case connect(replacing: Connection?)
  }

  /// Called once with the error when the last connection is gone and connecting failed. Called once with nil when
  /// connecting succeeds again.
  package typealias AvailabilityObserver = @Sendable (_ problem: (any Error)?) -> Void

  /// - Parameters:
  ///   - size: the largest number of connections, 1 to `maximumSize`.
  ///   - isOpen: when false, all calls fail until `open`.
  ///   - onStatement: receives the statements of all connections.
  ///   - onRefusal: receives the refusals on all connections.
  ///   - onNamesLost: called once, when the pool turns prepared statements off: see `StatementNames`.
  package init(
    _ configuration: ConnectionConfiguration, size: Int = defaultSize, isOpen: Bool = true,
    onStatement: Connection.StatementObserver? = nil, onRefusal: Connection.RefusalObserver? = nil,
    onNamesLost: (@Sendable () -> Void)? = nil, onAvailability: AvailabilityObserver? = nil
  ) {
    precondition(1...Self.maximumSize ~= size)
    self.configuration = configuration
    self.size = size
    self.onStatement = onStatement
    self.onRefusal = onRefusal
    names = StatementNames(areUsed: configuration.usesNamedStatements, onLoss: onNamesLost)
    self.onAvailability = onAvailability
    state = Mutex(State(isOpen: isOpen))
  }

  package var isOpen: Bool { state.withLock { $0.isOpen } }

  /// Accepts calls from now on.
  package func open() {
    state.withLock { $0.isOpen = true }
  }

  /// Runs `statement` on a connection of the pool.
  ///
  /// - Throws: `PostgresError`, `CancellationError`.
  package func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    try await withConnection { try await $0.execute(statement) }
  }

  /// The use of the connections at one moment.
  package struct Usage: Sendable {
    /// The largest number of connections.
    package let size: Int
    /// Connections that are lent or being opened.
    package let inUse: Int
    /// Callers that wait for a connection.
    package let waiting: Int
  }

  package var usage: Usage {
    state.withLock { Usage(size: size, inUse: $0.count - $0.idle.count, waiting: $0.waiters.count) }
  }

  /// Lends a connection while `body` runs. Closes a connection that comes back broken or inside a transaction.
  ///
  /// - Throws: `PostgresError.cannotConnect`, `PostgresError.poolUnavailable`, `CancellationError`, and what `body`
  ///   throws.
  package func withConnection<Result: Sendable>(
    _ body: @Sendable (Connection) async throws -> Result
  ) async throws -> Result {
    let connection = try await acquire()
    do {
      let result = try await body(connection)
      for discarded in release(connection) { await discarded.close() }
      return result
    } catch {
      for discarded in release(connection) { await discarded.close() }
      throw error
    }
  }

  /// Lends a connection as `withConnection` does, to a caller without a task.
  ///
  /// - Parameters:
  ///   - body: runs on the connection's executor. The closure that it returns runs after the connection is back in the
  ///     pool. A call of `lend` in that closure is likely to get the same connection, on the same thread.
  ///   - failure: called instead when the pool cannot lend a connection. It runs on a queue, not on the caller's stack,
  ///     so it may call `lend` again. Gets the errors of `withConnection`.
  package func lend(
    to body: @escaping @Sendable (isolated Connection) -> @Sendable () -> Void,
    failure: @escaping @Sendable (any Error) -> Void
  ) {
    acquire(waiterID: nil) { [self] result in
      switch result {
      case .failure(let error): failures.async { failure(error) }
      case .success(let connection):
        connection.perform { [self] connection in
          let next = body(connection)
          for discarded in release(connection) { discarded.perform { $0.close() } }
          next()
        }
      }
    }
  }

  /// Refuses new calls and closes the idle connections. Lent connections are closed when they come back.
  package func close() async {
    let (idle, waiters) = state.withLock { state in
      state.isClosed = true
      defer { (state.idle, state.waiters) = ([], []) }
      return (state.idle, state.waiters)
    }
    for waiter in waiters { waiter.completion(.failure(Self.closed)) }
    for connection in idle { await connection.close() }
  }

  private static let closed = PostgresError.poolUnavailable("the connection pool is closed")
  private static let notOpen = PostgresError.poolUnavailable("the database is not ready for use yet")

  // MARK: Acquiring

  private func acquire() async throws -> Connection {
    let id = state.withLock { $0.newWaiterID() }
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

  /// Gives the caller a connection. The caller waits when all connections are lent.
  ///
  /// - Parameter waiterID: nil for a caller that acts for others. Cancelling its task has no effect then.
  private func acquire(waiterID: Int?, _ completion: @escaping @Sendable (Result<Connection, any Error>) -> Void) {
    // One critical section looks for an idle connection and adds the waiter. Two would allow this:
    //
    //     caller: finds no idle connection
    //     other:  returns its connection, finds no waiter, makes the connection idle
    //     caller: adds the waiter, which waits although a connection is idle
    //
    // It also checks for cancellation, because `onCancel` may have run before there was a waiter to remove.
    let (first, outcome) = state.withLock { state -> (Waiter, Result<Step, any Error>?) in
      let waiter = Waiter(id: waiterID ?? state.newWaiterID(), completion: completion)
      if state.isClosed { return (waiter, .failure(Self.closed)) }
      if !state.isOpen { return (waiter, .failure(Self.notOpen)) }
      if waiterID != nil, Task.isCancelled { return (waiter, .failure(CancellationError())) }
      if let connection = state.idle.popLast() {
        return (waiter, .success(connection.isReusable ? .use(connection) : .connect(replacing: connection)))
      }
      if state.count == 0, let reason = state.backoffError { return (waiter, .failure(reason)) }
      state.waiters.append(waiter)
      guard state.count < size, state.backoffError == nil, let first = state.waiters.popFirst() else {
        return (waiter, nil)
      }
      state.count += 1
      return (first, .success(.connect(replacing: nil)))
    }
    if let outcome { serve(first, with: outcome) }
  }

  private func serve(_ waiter: Waiter, with step: Result<Step, any Error>) {
    switch step {
    case .failure(let error): waiter.completion(.failure(error))
    case .success(.use(let connection)): waiter.completion(.success(connection))
    case .success(.connect(nil)): connect(for: waiter)
    case .success(.connect(let broken?)):
      broken.perform { [self] in
        $0.close()
        connect(for: waiter)
      }
    }
  }

  /// Opens a connection that `count` already includes.
  private func connect(for waiter: Waiter) {
    let known = state.withLock { state in
      let known = state.backoffError
      if known == nil { state.failure?.isConnecting = true }
      return known
    }
    if let known { return connectingFailed(for: waiter, known) }
    Connection(configuration, names: names, onStatement: onStatement, onRefusal: onRefusal).perform {
      [self] connection in
      do {
        try connection.open()
      } catch {
        state.withLock { $0.failure = (.now + $0.backoff.next(), error, false) }
        return connectingFailed(for: waiter, error)
      }
      let isBack = state.withLock { state in
        state.failure = nil
        state.backoff.reset()
        defer { state.isUnavailable = false }
        return state.isUnavailable
      }
      if isBack { onAvailability?(nil) }
      waiter.completion(.success(connection))
    }
  }

  /// The waiter queues for an existing connection. If there is none, all waiters fail, since no connection will come
  /// back.
  private func connectingFailed(for waiter: Waiter, _ error: any Error) {
    let (step, failed, isChange) = state.withLock { state -> (Step?, [Waiter], Bool) in
      state.count -= 1
      if state.isClosed { return (nil, [waiter], false) }
      if state.count == 0 {
        defer { (state.waiters, state.isUnavailable) = ([], true) }
        return (nil, [waiter] + state.waiters, !state.isUnavailable)
      }
      if let connection = state.idle.popLast() {
        return (connection.isReusable ? .use(connection) : .connect(replacing: connection), [], false)
      }
      let place = state.waiters.firstIndex { $0.id > waiter.id } ?? state.waiters.endIndex
      state.waiters.insert(waiter, at: place)
      return (nil, [], false)
    }
    if isChange { onAvailability?(error) }
    if let step { serve(waiter, with: .success(step)) }
    for waiter in failed { waiter.completion(.failure(error)) }
  }

  // MARK: Releasing

  /// - Returns: connections that left the pool. The caller closes them.
  private func release(_ connection: Connection) -> [Connection] {
    let isReusable = connection.isReusable
    let (next, discarded) = state.withLock { state -> (Waiter?, [Connection]) in
      var discarded: [Connection] = []
      if connection.isLost {
        // The idle connections are most likely lost, too. Each of them would cost a caller a wait.
        discarded = state.idle
        state.count -= discarded.count
        state.idle = []
      }
      if let next = state.waiters.popFirst() { return (next, discarded) }
      if isReusable, !state.isClosed {
        state.idle.append(connection)
        return (nil, discarded)
      }
      state.count -= 1
      return (nil, discarded + [connection])
    }
    if let next { serve(next, with: .success(isReusable ? .use(connection) : .connect(replacing: connection))) }
    return discarded
  }
}
