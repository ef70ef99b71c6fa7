import CLibPQ
import Dispatch
import Synchronization
import Time

/// One connection to PostgreSQL, driven by libpq's asynchronous calls (PostgreSQL documentation, chapter 34.4).
///
/// Its executor has its own thread, which may wait for the server. So a statement is straight-line code, from the first
/// byte sent to the last result.
///
/// It runs one statement at a time. A pool lends it by closure to one caller. Any failure other than an SQL error makes
/// the connection unusable. The pool then closes it and opens another one.
package actor Connection {
  /// Receives the name and the duration of each statement, whether it succeeded or not.
  package typealias StatementObserver = @Sendable (_ name: String, _ nanoseconds: Int64) -> Void
  /// Receives the error of each statement that the server refused.
  package typealias RefusalObserver = @Sendable (PostgresError.ServerError) -> Void

  /// Whether a pool may lend the connection. The connection's executor writes it, and any thread reads it.
  enum Condition: Int, AtomicRepresentable {
    /// The connection is idle and outside any transaction.
    case reusable
    /// A statement is under way or a transaction is open.
    case busy
    /// Nothing may be sent any more.
    case broken
    /// As `broken`. The connection to the server broke, or the server has become a standby.
    case lost
  }

  nonisolated let executor = QueueExecutor(label: "postgres.connection")
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  let configuration: ConnectionConfiguration
  let names: StatementNames
  private let onStatement: StatementObserver?
  private let onRefusal: RefusalObserver?
  let condition = Atomic(Condition.busy)

  /// The value of `PQsocket`, for readers outside the executor.
  let socket = Atomic<Int32>(-1)

  /// Nil before `open` and after `close`.
  var handle: OpaquePointer?
  var cancelHandle: CancelHandle?
  private var preparedNames: Set<String> = []
  /// See `answering`.
  private var answerDeadline: Moment?

  let notificationSink: AsyncStream<Notification>.Continuation?
  private var notificationSource: (any DispatchSourceRead)?

  /// - Parameters:
  ///   - names: the connections of a pool share it. Nil for a connection without a pool.
  ///   - onStatement: nil measures nothing.
  ///   - notifications: receives the notifications of the channels that the session listens to. The connection finishes
  ///     it.
  init(
    _ configuration: ConnectionConfiguration, names: StatementNames? = nil, onStatement: StatementObserver? = nil,
    onRefusal: RefusalObserver? = nil, notifications: AsyncStream<Notification>.Continuation? = nil
  ) {
    self.configuration = configuration
    self.names = names ?? StatementNames(areUsed: configuration.usesNamedStatements)
    self.onStatement = onStatement
    self.onRefusal = onRefusal
    self.notificationSink = notifications
  }

  /// Whether a statement may be sent. On an idle connection the server sends only that it closes the connection. So a
  /// connection with something to read is not reusable.
  nonisolated var isReusable: Bool {
    condition.load(ordering: .acquiring) == .reusable && !isReadableNow(socket.load(ordering: .relaxed))
  }
  nonisolated var isBroken: Bool { [.broken, .lost].contains(condition.load(ordering: .acquiring)) }
  nonisolated var isLost: Bool { condition.load(ordering: .acquiring) == .lost }

  /// Returns an open connection.
  ///
  /// - Throws: `PostgresError.cannotConnect`.
  static func connect(
    _ configuration: ConnectionConfiguration, notifications: AsyncStream<Notification>.Continuation? = nil
  ) async throws -> Connection {
    let connection = Connection(configuration, notifications: notifications)
    try await connection.open()
    return connection
  }

  /// Runs `body` on the executor as soon as it is free, and returns at once. For callers without a task.
  nonisolated func perform(_ body: @escaping @Sendable (isolated Connection) -> Void) {
    executor.queue.async { self.assumeIsolated(body) }
  }

  // MARK: Statements

  /// Runs `body`. A statement that has no answer at `deadline` throws `PostgresError.connectionLost`, so the client
  /// gets a response in time.
  package func answering<Result>(
    by deadline: Moment, _ body: (isolated Connection) throws -> Result
  ) rethrows -> Result {
    answerDeadline = deadline
    defer { answerDeadline = nil }
    return try body(self)
  }

  /// Whether the deadline of `answering` has passed.
  package var isOutOfTime: Bool { answerDeadline.map { $0 <= .now } ?? false }

  /// Runs `statement` as `run` does. Cancelling the task stops a cancellable statement.
  ///
  /// - Throws: `PostgresError`. `CancellationError` when the statement is cancellable and its task was cancelled.
  package func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    guard Statement.isCancellable, let cancelHandle else { return try run(statement) }
    try Task.checkCancellation()
    let outcome = await withTaskCancellationHandler {
      Result { try run(statement) }
    } onCancel: {
      cancelHandle.requestInBackground()
    }
    if Task.isCancelled {
      // The cancel request may still be on its way. It would cancel the next statement of this connection.
      markUnusable()
      throw CancellationError()
    }
    return try outcome.get()
  }

  /// Runs `statement` and returns its rows. Prepares the statement first if this connection has not prepared it.
  ///
  /// Outside an explicit transaction the statement is committed when this returns.
  ///
  /// - Throws: `PostgresError`.
  package func run<Statement: PreparedStatement>(_ statement: Statement) throws -> [Statement.Result] {
    guard let onStatement else { return try carryOut(statement) }
    let start = Moment.now.nanoseconds
    defer { onStatement(Statement.name, Moment.now.nanoseconds - start) }
    return try carryOut(statement)
  }

  private func carryOut<Statement: PreparedStatement>(_ statement: Statement) throws -> [Statement.Result] {
    var parameters = Parameters()
    statement.bind(to: &parameters)
    let name = Statement.name
    guard let result = try send(Statement.self, parameters) else { return [] }
    var rows: [Statement.Result] = []
    let count = PQntuples(result.pointer)
    rows.reserveCapacity(Int(count))
    for index in 0..<count {
      var row = Row(result.pointer, row: index, statement: name)
      rows.append(try Statement.decode(&row))
    }
    return rows
  }

  /// Sends a statement by its name, or as text when names are off.
  ///
  /// - Returns: the last result; nil when there is none.
  private func send<Statement: PreparedStatement>(
    _ type: Statement.Type, _ parameters: Parameters
  ) throws -> QueryResult? {
    let name = Statement.name
    if names.areUsed {
      let isInTransaction = handle.map { PQtransactionStatus($0) != PQTRANS_IDLE } ?? false
      do {
        if !preparedNames.contains(name) {
          try roundTrip(name) { PQsendPrepare($0, name, Statement.sql, 0, nil) }
          preparedNames.insert(name)
        }
        return try roundTrip(name) { handle in
          parameters.withLibPQArrays {
            PQsendQueryPrepared(handle, name, $0, $1, $2, $3, Format.binary)
          }
        }.last
      } catch PostgresError.server(let error) where error.isAboutStatementName {
        names.turnOff()
        // The statement had no effect: it was not found, or could not be prepared. But the error ended an open
        // transaction.
        if isInTransaction { throw PostgresError.server(error) }
      }
    }
    return try roundTrip(name) { handle in
      parameters.withLibPQArrays {
        PQsendQueryParams(handle, Statement.sql, $0, nil, $1, $2, $3, Format.binary)
      }
    }.last
  }

  /// Runs one or more statements without parameters. They are one transaction unless the text has `begin` or `commit`.
  ///
  /// - Parameter name: the name of the script in errors. Nil stands for the first 60 characters of `sql`. A script with
  ///   a secret needs a name.
  /// - Throws: `PostgresError`.
  package func executeScript(_ sql: String, name: String? = nil) throws {
    let name = name ?? sql.prefix(60).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    try roundTrip(name) { PQsendQuery($0, sql) }
  }

  /// For tests: forgets which statements are prepared, so that preparing them again fails.
  func forgetNames() { preparedNames = [] }

  // MARK: One round trip

  /// Calls `send`, then waits for all results.
  ///
  /// The server commits before it sends ReadyForQuery, and libpq returns nil only after that message. So only the nil
  /// after the last result proves the commit. An error among the results undoes all of them.
  @discardableResult
  private func roundTrip(_ name: String, _ send: (OpaquePointer) -> Int32) throws -> [QueryResult] {
    guard let handle, !isBroken else { throw lost("the connection is closed", during: name) }
    condition.store(.busy, ordering: .releasing)
    let limit = Moment.now + configuration.statementTimeout + configuration.responseGrace
    let deadline = answerDeadline.map { min($0, limit) } ?? limit
    guard send(handle) == 1 else { throw lost(errorMessage(handle), during: name) }
    let results = try collectResults(of: name, handle, until: deadline)
    // Notifications that were read together with the results do not wake the dispatch source. Deliver them here.
    deliverNotifications(handle)
    condition.store(PQtransactionStatus(handle) == PQTRANS_IDLE ? .reusable : .busy, ordering: .releasing)
    for result in results {
      switch PQresultStatus(result.pointer) {
      case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: continue
      case PGRES_FATAL_ERROR:
        // An error without the server's fields comes from libpq: the connection broke.
        guard let error = result.serverError(statement: name) else { throw lost(result.errorMessage, during: name) }
        if PQstatus(handle) == CONNECTION_BAD { throw lost(error.message, during: name) }
        // A migration changed the statement's result type, so its plan is outdated. A new connection prepares it again.
        if error.sqlState == "0A000", preparedNames.contains(name) { markUnusable() }
        // The primary has become a standby. A new connection may reach the new primary.
        if error.sqlState == "25006" { markUnusable(.lost) }
        onRefusal?(error)
        throw PostgresError.server(error)
      default:
        // COPY or single-row mode. No statement of this program uses them, and the connection could not leave COPY.
        markUnusable()
        throw PostgresError.unexpectedRow(statement: name, message: "unsupported result status")
      }
    }
    if PQstatus(handle) == CONNECTION_BAD { throw lost("closed by the server", during: name) }
    return results
  }

  /// Sends libpq's buffer and returns all results, up to the nil after the last one (PostgreSQL documentation, chapter
  /// 34.4).
  ///
  /// It reads while it still has bytes to send. Otherwise both sides could wait for the other to read.
  ///
  /// - Parameter deadline: a network that drops packets never makes the socket readable. The caller gets an error then.
  private func collectResults(
    of name: String, _ handle: OpaquePointer, until deadline: Moment
  ) throws -> [QueryResult] {
    var results: [QueryResult] = []
    while true {
      let unsent = PQflush(handle)
      while PQstatus(handle) == CONNECTION_BAD || PQisBusy(handle) == 0 {
        guard let pointer = PQgetResult(handle) else { return results }
        results.append(QueryResult(pointer))
        // In COPY mode libpq returns this result again and again.
        if [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(PQresultStatus(pointer)) { return results }
      }
      guard unsent >= 0 else { throw lost(errorMessage(handle), during: name) }
      let ready = waitUntilReady(
        PQsocket(handle), for: unsent == 0 ? .readable : [.readable, .writable], deadline: deadline)
      if ready.isEmpty { throw lost("no answer in time", during: name) }
      // If the server closed the connection, PQgetResult returns that as an error.
      if ready.contains(.readable), PQconsumeInput(handle) == 0, PQstatus(handle) != CONNECTION_BAD {
        throw lost(errorMessage(handle), during: name)
      }
    }
  }

  private func lost(_ message: String, during statement: String) -> PostgresError {
    markUnusable(.lost)
    // The system must not send the statement later. The caller asks the server soon whether the statement took effect.
    if let handle { discardUnsentOnClose(PQsocket(handle)) }
    return .connectionLost(statement: statement, message: message)
  }

  /// Marks the connection as unusable. Nothing is sent any more, and the stream of notifications ends.
  func markUnusable(_ condition: Condition = .broken) {
    self.condition.store(condition, ordering: .releasing)
    // Dispatch would report a closed socket again and again.
    notificationSource?.cancel()
    notificationSource = nil
    notificationSink?.finish()
  }

  // MARK: Notifications

  /// Reads the server's notifications while no statement is under way (PostgreSQL documentation, chapter 34.9).
  ///
  /// - Parameter descriptor: a duplicate of the socket's descriptor. It is closed with the source.
  func watchForNotifications(_ descriptor: Int32) {
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: executor.queue)
    source.setEventHandler { [weak self] in self?.assumeIsolated { $0.socketIsReadable() } }
    source.setCancelHandler { closeDescriptor(descriptor) }
    source.activate()
    notificationSource = source
  }

  private func socketIsReadable() {
    guard let handle, !isBroken else { return }
    var isOpen = true
    // Read everything, not only as much as fits into libpq's buffer. Dispatch reports a close once, perhaps together
    // with the last bytes.
    repeat { isOpen = PQconsumeInput(handle) == 1 } while isOpen && isReadableNow(PQsocket(handle))
    deliverNotifications(handle)
    if !isOpen { markUnusable() }
  }

  private func deliverNotifications(_ handle: OpaquePointer) {
    while let notify = PQnotifies(handle) {
      notificationSink?.yield(
        Notification(channel: String(cString: notify.pointee.relname), payload: String(cString: notify.pointee.extra)))
      PQfreemem(notify)
    }
  }

  // MARK: Passwords

  /// Returns the verifier that PostgreSQL stores for a role's password (SCRAM-SHA-256, RFC 5803). libpq computes it, so
  /// the password is not sent.
  ///
  /// - Throws: `PostgresError` when the connection is closed, or libpq cannot compute the verifier.
  package func passwordVerifier(_ password: String, role: String) throws -> String {
    guard let handle else { throw lost("the connection is closed", during: "password_verifier") }
    guard let verifier = PQencryptPasswordConn(handle, password, role, "scram-sha-256") else {
      throw PostgresError.cannotConnect(errorMessage(handle))
    }
    defer { PQfreemem(verifier) }
    return String(cString: verifier)
  }

  func errorMessage(_ handle: OpaquePointer) -> String {
    String(cString: PQerrorMessage(handle)).trimmingLines()
  }
}
