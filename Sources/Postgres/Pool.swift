import DequeModule
import Dispatch
import Synchronization
import Time

/// A bounded set of connections to one database, lent by closure.
///
/// Callers wait in the order in which they came. A connection that broke is closed and replaced when next needed. While
/// the database is away, one attempt to connect is made each back-off period, so that a crowd of requests does not become
/// a crowd of attempts: who comes during one waits for its end, who comes between two fails at once. When the database
/// only lets no more of us in, they share the connections of those who are in.
package final class Pool: Sendable {
  /// Enough for reads, for what changes a product, and for one of its batches that is stuck, beside jobs and administration.
  package static let defaultSize = 8

  /// Each statement under way occupies a thread of dispatch, which has 255; when all are taken, not even its timers go on.
  /// Requests to cancel take one each, too.
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
    /// The last one in is the first one out: its server process is the one with warm caches.
    var idle: [Connection] = []
    /// Connections that exist or are being made; never above the pool's size.
    var count = 0
    var waiters: Deque<Waiter> = []
    private var lastWaiterID = 0
    var isOpen: Bool
    var isClosed = false
    /// The last connection is gone, and another could not be made.
    var isWithoutConnection = false
    var backoff = Backoff()
    /// Set while the database is away: until `until`, and while one attempt is under way, others fail with `error` without
    /// being made.
    var away: (until: Moment, error: any Error, isBeingTried: Bool)?

    init(isOpen: Bool) {
      self.isOpen = isOpen
    }

    mutating func newWaiterID() -> Int {
      lastWaiterID += 1
      return lastWaiterID
    }

    /// What a call fails with that would need a new connection now; nil when one may be made.
    var reasonNotToTry: (any Error)? {
      guard let away, away.isBeingTried || .now < away.until else { return nil }
      return away.error
    }
  }

  /// Somebody who asked for a connection, to be called once, on any thread.
  private struct Waiter {
    /// In the order of arrival.
    let id: Int
    let completion: @Sendable (Result<Connection, any Error>) -> Void
  }

  /// What a caller may do next.
  private enum Turn {
    case use(Connection)
    /// A place in the pool is the caller's: make a connection for it, after closing the broken one that had it.
    case connect(replacing: Connection?)
  }

  /// Told once, with the reason, when the last connection is gone and another could not be made; and once, with nil, when
  /// one was made again.
  package typealias AvailabilityObserver = @Sendable (_ problem: (any Error)?) -> Void

  /// - Parameters:
  ///   - size: connections at most, 1 to `maximumSize`.
  ///   - isOpen: false lets all calls fail until `open`.
  ///   - onStatement: told of what runs on any of them.
  ///   - onRefusal: told of what the server refuses on any of them.
  ///   - onNamesLost: told once, when statements cannot be prepared by name, and are sent without from then on.
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

  /// Lets calls through from now on.
  package func open() {
    state.withLock { $0.isOpen = true }
  }

  /// Runs `statement` on a connection of the pool.
  ///
  /// - Throws: `PostgresError`, or `CancellationError`.
  package func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    try await withConnection { try await $0.execute(statement) }
  }

  /// How the connections are used at this moment.
  package struct Usage: Sendable {
    /// Connections at most.
    package let size: Int
    /// On loan, or being made for somebody.
    package let inUse: Int
    /// Callers in line for one.
    package let waiting: Int
  }

  package var usage: Usage {
    state.withLock { Usage(size: size, inUse: $0.count - $0.idle.count, waiting: $0.waiters.count) }
  }

  /// Lends a connection for the length of `body`. One that comes back broken or inside a transaction is discarded.
  ///
  /// - Throws: `PostgresError.cannotConnect`, `PostgresError.poolUnavailable`, `CancellationError`, and what `body`
  ///   throws.
  package func withConnection<Result: Sendable>(
    _ body: @Sendable (Connection) async throws -> Result
  ) async throws -> Result {
    let connection = try await acquire()
    do {
      let result = try await body(connection)
      for orphan in release(connection) { await orphan.close() }
      return result
    } catch {
      for orphan in release(connection) { await orphan.close() }
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
          for orphan in release(connection) { orphan.perform { $0.close() } }
          next()
        }
      }
    }
  }

  /// Refuses new calls and closes the connections; those on loan are closed as they come back.
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

  /// Gets the caller a connection, in line when every one is on loan.
  ///
  /// - Parameter waiterID: nil for somebody who asks on behalf of others: that the task in which it happens to run is
  ///   cancelled means nothing then.
  private func acquire(waiterID: Int?, _ completion: @escaping @Sendable (Result<Connection, any Error>) -> Void) {
    // Filing the waiter and looking for a free connection happen under one lock, or a connection that comes back
    // between the two would be missed. Cancellation is looked at here too: whoever removes a cancelled waiter may have
    // been here already, when there was none yet.
    let (first, outcome) = state.withLock { state -> (Waiter, Result<Turn, any Error>?) in
      let waiter = Waiter(id: waiterID ?? state.newWaiterID(), completion: completion)
      if state.isClosed { return (waiter, .failure(Self.closed)) }
      if !state.isOpen { return (waiter, .failure(Self.notOpen)) }
      if waiterID != nil, Task.isCancelled { return (waiter, .failure(CancellationError())) }
      if let connection = state.idle.popLast() {
        return (waiter, .success(connection.isReusable ? .use(connection) : .connect(replacing: connection)))
      }
      if state.count == 0, let reason = state.reasonNotToTry { return (waiter, .failure(reason)) }
      state.waiters.append(waiter)
      guard state.count < size, state.reasonNotToTry == nil, let first = state.waiters.popFirst() else {
        return (waiter, nil)
      }
      state.count += 1
      return (first, .success(.connect(replacing: nil)))
    }
    if let outcome { go(on: first, with: outcome) }
  }

  private func go(on waiter: Waiter, with turn: Result<Turn, any Error>) {
    switch turn {
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

  /// Makes a connection for a place that is already counted, or gives the place up.
  private func connect(for waiter: Waiter) {
    let known = state.withLock { state in
      let known = state.reasonNotToTry
      if known == nil { state.away?.isBeingTried = true }
      return known
    }
    if let known { return giveUpPlace(of: waiter, known) }
    Connection(configuration, names: names, onStatement: onStatement, onRefusal: onRefusal).perform {
      [self] connection in
      do {
        try connection.open()
      } catch {
        state.withLock { $0.away = (.now + $0.backoff.next(), error, false) }
        return giveUpPlace(of: waiter, error)
      }
      let isBack = state.withLock { state in
        state.away = nil
        state.backoff.reset()
        defer { state.isWithoutConnection = false }
        return state.isWithoutConnection
      }
      if isBack { onAvailability?(nil) }
      waiter.completion(.success(connection))
    }
  }

  /// Who cannot have a connection made shares those that there are. With the last of them everybody's hope is gone: nobody
  /// waits for a connection that nobody makes.
  private func giveUpPlace(of waiter: Waiter, _ error: any Error) {
    let (turn, failed, isNews) = state.withLock { state -> (Turn?, [Waiter], Bool) in
      state.count -= 1
      if state.isClosed { return (nil, [waiter], false) }
      if state.count == 0 {
        defer { (state.waiters, state.isWithoutConnection) = ([], true) }
        return (nil, [waiter] + state.waiters, !state.isWithoutConnection)
      }
      if let connection = state.idle.popLast() {
        return (connection.isReusable ? .use(connection) : .connect(replacing: connection), [], false)
      }
      let place = state.waiters.firstIndex { $0.id > waiter.id } ?? state.waiters.endIndex
      state.waiters.insert(waiter, at: place)
      return (nil, [], false)
    }
    if isNews { onAvailability?(error) }
    if let turn { go(on: waiter, with: .success(turn)) }
    for waiter in failed { waiter.completion(.failure(error)) }
  }

  // MARK: Releasing

  /// - Returns: the connections that are nobody's any more, for the caller to close.
  private func release(_ connection: Connection) -> [Connection] {
    let isReusable = connection.isReusable
    let (next, orphans) = state.withLock { state -> (Waiter?, [Connection]) in
      var orphans: [Connection] = []
      if connection.isLost {
        // What took this one has most likely taken the others too, and to find out of each costs somebody a wait.
        orphans = state.idle
        state.count -= orphans.count
        state.idle = []
      }
      if let next = state.waiters.popFirst() { return (next, orphans) }
      if isReusable, !state.isClosed {
        state.idle.append(connection)
        return (nil, orphans)
      }
      state.count -= 1
      return (nil, orphans + [connection])
    }
    if let next { go(on: next, with: .success(isReusable ? .use(connection) : .connect(replacing: connection))) }
    return orphans
  }
}
