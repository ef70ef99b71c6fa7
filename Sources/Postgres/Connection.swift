import CLibPQ
import Dispatch
import Synchronization
import Time

/// One connection to PostgreSQL, driven by libpq's asynchronous calls (PostgreSQL documentation, chapter 34.4).
///
/// Its executor has a thread of its own, which may wait for the server. So a statement is straight-line code, from the
/// first byte sent to the last result.
///
/// It runs one statement at a time; a pool lends it by closure so that nobody else is in between. Whatever fails on it
/// beyond a plain SQL error makes it unusable for good: it is closed and replaced, never mended.
package actor Connection {
  /// Told of each statement, well or not, and how long it took.
  package typealias StatementObserver = @Sendable (_ name: String, _ nanoseconds: Int64) -> Void
  /// Told of each statement that the server refused.
  package typealias RefusalObserver = @Sendable (PostgresError.ServerError) -> Void

  /// What a pool may do with the connection now. Written on the connection's executor, read from anywhere.
  enum Condition: Int, AtomicRepresentable {
    /// Idle and outside any transaction.
    case reusable
    /// A statement is under way or a transaction is open.
    case busy
    /// Nothing more may be sent on it.
    case broken
    /// The same, since the server cannot be reached on it any more, or is not the one that is needed.
    case lost
  }

  nonisolated let executor = QueueExecutor(label: "postgres.connection")
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  let configuration: ConnectionConfiguration
  let names: StatementNames
  private let onStatement: StatementObserver?
  private let onRefusal: RefusalObserver?
  let condition = Atomic(Condition.busy)

  /// What `PQsocket` says, for those who are not on the executor.
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
  ///   - names: shared by the connections of a pool.
  ///   - notifications: receives what channels that are listened to announce, and ends with the connection.
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

  /// Whether a statement may be sent. Nobody watches an idle connection, and the server has nothing to say on it but that
  /// it hangs up; so one with something to read is not used again.
  nonisolated var isReusable: Bool {
    condition.load(ordering: .acquiring) == .reusable && !isReadableNow(socket.load(ordering: .relaxed))
  }
  nonisolated var isBroken: Bool { [.broken, .lost].contains(condition.load(ordering: .acquiring)) }
  nonisolated var isLost: Bool { condition.load(ordering: .acquiring) == .lost }

  /// A connection that has been opened; see `open`.
  static func connect(
    _ configuration: ConnectionConfiguration, notifications: AsyncStream<Notification>.Continuation? = nil
  ) async throws -> Connection {
    let connection = Connection(configuration, notifications: notifications)
    try await connection.open()
    return connection
  }

  /// Has `body` run on the executor as soon as it is free. For those who have no task to wait in.
  nonisolated func perform(_ body: @escaping @Sendable (isolated Connection) -> Void) {
    executor.queue.async { self.assumeIsolated(body) }
  }

  // MARK: Statements

  /// Runs `body`, whose statements are given up when the server has not answered them by `deadline`: somebody waits who
  /// needs to hear something by then, be it that nothing is known.
  package func answering<Result>(
    by deadline: Moment, _ body: (isolated Connection) throws -> Result
  ) rethrows -> Result {
    answerDeadline = deadline
    defer { answerDeadline = nil }
    return try body(self)
  }

  /// Whether the time of `answering` is over, so that another statement would only be given up.
  package var isOutOfTime: Bool { answerDeadline.map { $0 <= .now } ?? false }

  /// Runs `statement` as `run` does, and may be told to stop.
  ///
  /// - Throws: `PostgresError`, or `CancellationError` for a cancellable statement whose task was cancelled.
  package func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    guard Statement.isCancellable, let cancelHandle else { return try run(statement) }
    try Task.checkCancellation()
    let outcome = await withTaskCancellationHandler {
      Result { try run(statement) }
    } onCancel: {
      cancelHandle.requestInBackground()
    }
    if Task.isCancelled {
      // The request may still be on its way and would hit whatever runs on this connection next.
      breakDown()
      throw CancellationError()
    }
    return try outcome.get()
  }

  /// Runs `statement`, preparing it first if this connection has not yet met it, and returns its rows.
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

  /// Sends a statement by its name, or without one where names cannot be used.
  ///
  /// - Returns: the last result.
  private func send<Statement: PreparedStatement>(
    _ type: Statement.Type, _ parameters: Parameters
  ) throws -> QueryResult? {
    let name = Statement.name
    if names.areUsed {
      let isInTransaction = handle.map { PQtransactionStatus($0) != PQTRANS_IDLE } ?? false
      do {
        if !preparedNames.contains(name) {
          try exchange(name) { PQsendPrepare($0, name, Statement.sql, 0, nil) }
          preparedNames.insert(name)
        }
        return try exchange(name) { handle in
          parameters.withLibPQArrays {
            PQsendQueryPrepared(handle, name, $0, $1, $2, $3, Format.binary)
          }
        }.last
      } catch PostgresError.server(let error) where error.isAboutStatementName {
        names.giveUp()
        // The server found no statement to run, or could not prepare it: nothing was done. But an open transaction is lost.
        if isInTransaction { throw PostgresError.server(error) }
      }
    }
    return try exchange(name) { handle in
      parameters.withLibPQArrays {
        PQsendQueryParams(handle, Statement.sql, $0, nil, $1, $2, $3, Format.binary)
      }
    }.last
  }

  /// Runs a text of one or more statements without parameters, as one transaction unless it says otherwise.
  ///
  /// - Parameter name: what errors call it, for a text with something secret in it; by default how it begins.
  /// - Throws: `PostgresError`.
  package func executeScript(_ sql: String, name: String? = nil) throws {
    let name = name ?? sql.prefix(60).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    try exchange(name) { PQsendQuery($0, sql) }
  }

  /// Prepares each statement anew: for tests of names that are taken.
  func forgetNames() { preparedNames = [] }

  // MARK: One exchange with the server

  /// Sends with `send` and waits for everything the server answers.
  ///
  /// libpq hands out nil only after the server's ReadyForQuery, and the server commits before that message. So a result
  /// alone is no proof of a commit; the nil behind it is, and any error among the results undoes them all.
  @discardableResult
  private func exchange(_ name: String, _ send: (OpaquePointer) -> Int32) throws -> [QueryResult] {
    guard let handle, !isBroken else { throw lost("the connection is closed", during: name) }
    condition.store(.busy, ordering: .releasing)
    let limit = Moment.now + configuration.statementTimeout + configuration.responseGrace
    let deadline = answerDeadline.map { min($0, limit) } ?? limit
    guard send(handle) == 1 else { throw lost(errorMessage(handle), during: name) }
    let results = try collectResults(of: name, handle, until: deadline)
    // What was read here makes the socket readable no longer, so dispatch may never tell of it.
    deliverNotifications(handle)
    condition.store(PQtransactionStatus(handle) == PQTRANS_IDLE ? .reusable : .busy, ordering: .releasing)
    for result in results {
      switch PQresultStatus(result.pointer) {
      case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: continue
      case PGRES_FATAL_ERROR:
        // One without the server's fields was made by libpq itself: the connection broke.
        guard let error = result.serverError(statement: name) else { throw lost(result.errorMessage, during: name) }
        if PQstatus(handle) == CONNECTION_BAD { throw lost(error.message, during: name) }
        // Its plan is outdated (a migration changed what it returns): only a new connection prepares it anew.
        if error.sqlState == "0A000", preparedNames.contains(name) { breakDown() }
        // A primary that has become a standby: who connects anew may be led to the new primary.
        if error.sqlState == "25006" { breakDown(.lost) }
        onRefusal?(error)
        throw PostgresError.server(error)
      default:
        // COPY or single-row mode, which nothing here asks for and this connection could not leave.
        breakDown()
        throw PostgresError.unexpectedRow(statement: name, message: "unsupported result status")
      }
    }
    if PQstatus(handle) == CONNECTION_BAD { throw lost("closed by the server", during: name) }
    return results
  }

  /// Hands libpq's buffer to the socket and takes every result, up to the nil behind the last.
  ///
  /// While not all of the buffer fits, it goes on taking in what the server sends, or both sides could wait for ever for
  /// the other to read.
  ///
  /// - Parameter deadline: a network that drops packets in silence never makes the socket readable. Whoever waits gets an
  ///   answer nonetheless.
  private func collectResults(
    of name: String, _ handle: OpaquePointer, until deadline: Moment
  ) throws -> [QueryResult] {
    var results: [QueryResult] = []
    while true {
      let unsent = PQflush(handle)
      while PQstatus(handle) == CONNECTION_BAD || PQisBusy(handle) == 0 {
        guard let pointer = PQgetResult(handle) else { return results }
        results.append(QueryResult(pointer))
        // libpq would hand it out for ever. Nothing here speaks COPY.
        if [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(PQresultStatus(pointer)) { return results }
      }
      guard unsent >= 0 else { throw lost(errorMessage(handle), during: name) }
      let ready = waitUntilReady(
        PQsocket(handle), for: unsent == 0 ? .readable : [.readable, .writable], deadline: deadline)
      if ready.isEmpty { throw lost("no answer in time", during: name) }
      // That the server has hung up will be among the results.
      if ready.contains(.readable), PQconsumeInput(handle) == 0, PQstatus(handle) != CONNECTION_BAD {
        throw lost(errorMessage(handle), during: name)
      }
    }
  }

  private func lost(_ message: String, during statement: String) -> PostgresError {
    breakDown(.lost)
    // What the server has not received by now it never shall: others will ask it soon what became of the statement.
    if let handle { discardUnsent(PQsocket(handle)) }
    return .connectionLost(statement: statement, message: message)
  }

  /// Gives up on the connection: nothing more is sent, the watching of its socket ends, waiters learn of it.
  func breakDown(_ condition: Condition = .broken) {
    self.condition.store(condition, ordering: .releasing)
    // Of a socket at its end, dispatch would tell over and over.
    notificationSource?.cancel()
    notificationSource = nil
    notificationSink?.finish()
  }

  // MARK: Notifications

  /// Has the server's notifications taken in while no statement is under way.
  ///
  /// - Parameter descriptor: a duplicate, closed when the watching ends.
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
    // All that is there, and not only what fits into libpq's buffer: of a hang-up that comes together with the server's
    // last words, dispatch tells once and never again.
    repeat { isOpen = PQconsumeInput(handle) == 1 } while isOpen && isReadableNow(PQsocket(handle))
    deliverNotifications(handle)
    if !isOpen { breakDown() }
  }

  private func deliverNotifications(_ handle: OpaquePointer) {
    while let notify = PQnotifies(handle) {
      notificationSink?.yield(
        Notification(channel: String(cString: notify.pointee.relname), payload: String(cString: notify.pointee.extra)))
      PQfreemem(notify)
    }
  }

  /// What PostgreSQL stores of a role's password (SCRAM-SHA-256, RFC 5803), made here so that the password is not sent.
  ///
  /// - Throws: `PostgresError` when libpq cannot make it.
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
