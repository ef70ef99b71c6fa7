import CLibPQ
import Dispatch
import Synchronization

/// One connection to PostgreSQL, driven by libpq's asynchronous calls (PostgreSQL documentation, chapter 34.4).
///
/// It runs one statement at a time; a pool lends it by closure so that nobody else is in between. Whatever fails on it
/// beyond a plain SQL error makes it unusable for good: it is closed and replaced, never mended.
public actor Connection {
  /// What a pool may do with the connection now. Written on the connection's executor, read from anywhere.
  enum Condition: Int, AtomicRepresentable {
    /// Idle and outside any transaction.
    case reusable
    /// A statement is under way or a transaction is open.
    case busy
    /// Nothing more may be sent on it.
    case broken
  }

  nonisolated let executor = QueueExecutor(label: "postgres.connection")
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  private let configuration: ConnectionConfiguration
  private let condition = Atomic(Condition.busy)

  /// Nil before `open` and after `close`.
  private var handle: OpaquePointer?
  private var cancelHandle: CancelHandle?
  private var readSource: (any DispatchSourceRead)?
  private var preparedNames: Set<String> = []

  /// The statement under way: who waits for it and what has come back so far.
  private var exchange: Exchange?
  private var watchdog: (any DispatchSourceTimer)?

  private let notificationSink: AsyncStream<Notification>.Continuation?

  private init(_ configuration: ConnectionConfiguration, notifications: AsyncStream<Notification>.Continuation?) {
    self.configuration = configuration
    self.notificationSink = notifications
  }

  nonisolated var isReusable: Bool { condition.load(ordering: .acquiring) == .reusable }
  nonisolated var isBroken: Bool { condition.load(ordering: .acquiring) == .broken }

  /// Connects, which includes TLS and authentication.
  ///
  /// - Parameter notifications: receives what channels that are listened to announce, and ends with the connection.
  /// - Throws: `PostgresError.cannotConnect`, also when `connectTimeout` has passed.
  static func connect(
    _ configuration: ConnectionConfiguration, notifications: AsyncStream<Notification>.Continuation? = nil
  ) async throws -> Connection {
    let connection = Connection(configuration, notifications: notifications)
    do {
      try await connection.open()
    } catch {
      await connection.close()
      throw error
    }
    return connection
  }

  // MARK: Statements

  /// Runs `statement`, preparing it first if this connection has not yet met it, and returns its rows.
  ///
  /// Outside an explicit transaction the statement is committed when this returns.
  ///
  /// - Throws: `PostgresError`, or `CancellationError` for a cancellable statement whose task was cancelled.
  public func execute<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    var parameters = Parameters()
    statement.bind(to: &parameters)
    let name = Statement.name
    if configuration.usesNamedStatements, !preparedNames.contains(name) {
      try await exchange(name) { PQsendPrepare($0, name, Statement.sql, 0, nil) }
      preparedNames.insert(name)
    }
    let usesName = configuration.usesNamedStatements
    let results = try await exchange(name, isCancellable: Statement.isCancellable) { handle in
      parameters.withLibPQArrays { count, values, lengths, formats in
        usesName
          ? PQsendQueryPrepared(handle, name, count, values, lengths, formats, Format.binary)
          : PQsendQueryParams(handle, Statement.sql, count, nil, values, lengths, formats, Format.binary)
      }
    }
    guard let result = results.last else { return [] }
    var rows: [Statement.Result] = []
    let count = PQntuples(result.pointer)
    rows.reserveCapacity(Int(count))
    for index in 0..<count {
      var row = Row(result.pointer, row: index, statement: name)
      rows.append(try Statement.decode(&row))
    }
    return rows
  }

  /// Runs a text of one or more statements without parameters, as one transaction unless it says otherwise.
  ///
  /// - Throws: `PostgresError`.
  public func executeScript(_ sql: String) async throws {
    try await exchange(String(sql.prefix(60))) { PQsendQuery($0, sql) }
  }

  // MARK: One exchange with the server

  /// What is under way: libpq hands out the results of an exchange one by one, then nil.
  private struct Exchange {
    let name: String
    let deadline: DispatchTime
    var results: [QueryResult] = []
    var continuation: CheckedContinuation<Void, Never>?
    var isComplete = false
  }

  /// Sends with `send` and waits for everything the server answers.
  ///
  /// libpq hands out nil only after the server's ReadyForQuery, and the server commits before that message. So a result
  /// alone is no proof of a commit; the nil behind it is, and any error among the results undoes them all.
  @discardableResult
  private func exchange(
    _ name: String, isCancellable: Bool = false, _ send: (OpaquePointer) -> Int32
  ) async throws -> [QueryResult] {
    if isCancellable { try Task.checkCancellation() }
    guard let handle, condition.load(ordering: .acquiring) != .broken else {
      throw PostgresError.connectionLost(statement: name, message: "the connection is closed")
    }
    precondition(exchange == nil, "a connection runs one statement at a time; it is lent to one caller")
    condition.store(.busy, ordering: .releasing)
    exchange = Exchange(name: name, deadline: .now() + responseTimeLimit)
    guard send(handle) == 1 else { return try finishExchange(lost: errorMessage(handle)) }
    guard await flush(handle) else { return try finishExchange(lost: errorMessage(handle)) }
    if isCancellable, let cancelHandle {
      await withTaskCancellationHandler {
        await exchangeCompletion()
      } onCancel: {
        cancelHandle.requestInBackground()
      }
      if Task.isCancelled {
        // The request may still be on its way and would hit whatever runs on this connection next.
        breakDown()
        _ = try? finishExchange()
        throw CancellationError()
      }
    } else {
      await exchangeCompletion()
    }
    return try finishExchange()
  }

  private var responseTimeLimit: DispatchTimeInterval {
    let limit = configuration.statementTimeout + configuration.responseGrace
    return .milliseconds(Int(limit / .milliseconds(1)))
  }

  /// Hands libpq's buffer to the socket. While it does not all fit, the read source goes on taking in what the server
  /// sends, or both sides could wait for ever for the other to read.
  private func flush(_ handle: OpaquePointer) async -> Bool {
    while true {
      switch PQflush(handle) {
      case 0: return true
      case 1:
        let deadline = exchange?.deadline ?? .now()
        let isWritable = await waitUntilReady(
          .writable, descriptor: PQsocket(handle), deadline: deadline, queue: executor.queue)
        guard isWritable, !isBroken else { return false }
      default: return false
      }
    }
  }

  private func exchangeCompletion() async {
    collectResults()
    if exchange?.isComplete == true { return }
    await withCheckedContinuation { exchange?.continuation = $0 }
  }

  /// Takes over every result that libpq has complete in its buffer.
  private func collectResults() {
    guard let handle, exchange != nil, exchange?.isComplete == false else { return }
    while isBroken || PQisBusy(handle) == 0 {
      guard let pointer = PQgetResult(handle) else {
        exchange?.isComplete = true
        exchange?.continuation?.resume()
        exchange?.continuation = nil
        return
      }
      exchange?.results.append(QueryResult(pointer))
      if [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(PQresultStatus(pointer)) {
        // libpq would hand it out for ever. Nothing here speaks COPY, and the connection cannot leave it.
        breakDown()
        exchange?.isComplete = true
        exchange?.continuation?.resume()
        exchange?.continuation = nil
        return
      }
    }
  }

  /// Ends the exchange and turns what came back into results or an error.
  private func finishExchange(lost message: String? = nil) throws -> [QueryResult] {
    guard let exchange, let handle else { preconditionFailure("no exchange is under way") }
    self.exchange = nil
    let silence = exchange.deadline <= .now() ? "no answer in time" : "closed by the server"
    if let message {
      breakDown()
      throw PostgresError.connectionLost(statement: exchange.name, message: message.isEmpty ? silence : message)
    }
    let isIdle = PQtransactionStatus(handle) == PQTRANS_IDLE
    if !isBroken { condition.store(isIdle ? .reusable : .busy, ordering: .releasing) }
    for result in exchange.results {
      switch PQresultStatus(result.pointer) {
      case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: continue
      case PGRES_FATAL_ERROR:
        guard let error = result.serverError(statement: exchange.name) else {
          // Made by libpq itself: the connection broke.
          breakDown()
          throw PostgresError.connectionLost(statement: exchange.name, message: result.errorMessage)
        }
        if isBroken || PQstatus(handle) == CONNECTION_BAD {
          breakDown()
          throw PostgresError.connectionLost(statement: exchange.name, message: error.message)
        }
        // Its plan is outdated (a migration changed what it returns), or the server has forgotten it: only a new
        // connection prepares it anew.
        if ["0A000", "26000"].contains(error.sqlState), preparedNames.contains(exchange.name) { breakDown() }
        throw PostgresError.server(error)
      default:
        // COPY or single-row mode, which nothing here asks for and this connection could not leave.
        breakDown()
        throw PostgresError.unexpectedRow(statement: exchange.name, message: "unsupported result status")
      }
    }
    if isBroken { throw PostgresError.connectionLost(statement: exchange.name, message: silence) }
    return exchange.results
  }

  // MARK: The socket

  private func socketIsReadable() {
    guard let handle, !isBroken else { return }
    var isOpen = true
    // All that is there, and not only what fits into libpq's buffer: of a hang-up that comes together with the server's
    // last words, dispatch tells once and never again.
    repeat {
      isOpen = PQconsumeInput(handle) == 1
      if !isOpen { condition.store(.broken, ordering: .releasing) }
      // Before the notifications: parsing the results is what finds those that stand behind them.
      collectResults()
    } while !isBroken && isReadableNow(PQsocket(handle))
    while let notify = PQnotifies(handle) {
      notificationSink?.yield(
        Notification(channel: String(cString: notify.pointee.relname), payload: String(cString: notify.pointee.extra)))
      PQfreemem(notify)
    }
    if !isOpen { breakDown() }
  }

  /// Gives up on the connection: nothing more is sent, the watching of its socket ends, waiters learn of it.
  private func breakDown() {
    condition.store(.broken, ordering: .releasing)
    // Of a socket at its end, dispatch would tell over and over.
    readSource?.cancel()
    readSource = nil
    notificationSink?.finish()
  }

  /// A network that drops packets in silence never makes the socket readable. Whoever waits gets an answer nonetheless.
  private func checkDeadline() {
    guard let exchange, let continuation = exchange.continuation, exchange.deadline <= .now() else { return }
    breakDown()
    self.exchange?.isComplete = true
    self.exchange?.continuation = nil
    continuation.resume()
  }

  // MARK: Opening and closing

  private func open() async throws {
    let deadline = DispatchTime.now() + .milliseconds(Int(configuration.connectTimeout / .milliseconds(1)))
    guard let handle = startConnecting() else { throw PostgresError.cannotConnect("out of memory") }
    self.handle = handle
    PQsetNoticeProcessor(handle, { _, _ in }, nil)
    // libpq asks to behave at first as if PQconnectPoll had returned "writing", and may change the socket in every poll.
    var status = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
    while status != PGRES_POLLING_OK {
      guard status != PGRES_POLLING_FAILED else { throw PostgresError.cannotConnect(errorMessage(handle)) }
      let isReady = await waitUntilReady(
        status == PGRES_POLLING_READING ? .readable : .writable,
        descriptor: PQsocket(handle), deadline: deadline, queue: executor.queue)
      guard isReady else {
        throw PostgresError.cannotConnect("no answer within \(configuration.connectTimeout)")
      }
      status = PQconnectPoll(handle)
    }
    PQsetnonblocking(handle, 1)
    cancelHandle = CancelHandle(handle)
    guard let descriptor = duplicateForWatching(PQsocket(handle)) else {
      throw PostgresError.cannotConnect("out of file descriptors")
    }
    watchSocket(descriptor)
    condition.store(.reusable, ordering: .releasing)
  }

  /// `dbname` is expanded as a connection string; what stands behind it in the list overrides the same key in it. Server
  /// options that the string itself has come last and so have the last word.
  private func startConnecting() -> OpaquePointer? {
    func milliseconds(_ duration: Duration) -> Int { Int(duration / .milliseconds(1)) }
    let limits = """
      -c statement_timeout=\(milliseconds(configuration.statementTimeout)) \
      -c lock_timeout=\(milliseconds(configuration.lockTimeout)) \
      -c idle_in_transaction_session_timeout=\(milliseconds(configuration.idleInTransactionTimeout)) \
      \(configuration.value(of: "options") ?? "")
      """
    let settings = [
      ("dbname", configuration.url),
      ("client_encoding", "UTF8"),
      ("fallback_application_name", configuration.applicationName),
      ("options", limits),
    ]
    return withCStrings(settings.map(\.0)) { keys in
      withCStrings(settings.map(\.1)) { values in PQconnectStartParams(keys, values, 1) }
    }
  }

  /// - Parameter descriptor: a duplicate, closed when the watching ends.
  private func watchSocket(_ descriptor: Int32) {
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: executor.queue)
    source.setEventHandler { [weak self] in self?.assumeIsolated { $0.socketIsReadable() } }
    source.setCancelHandler { closeDescriptor(descriptor) }
    source.activate()
    readSource = source
    let timer = DispatchSource.makeTimerSource(queue: executor.queue)
    timer.schedule(deadline: .now() + 1, repeating: 1, leeway: .milliseconds(100))
    timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.checkDeadline() } }
    timer.activate()
    watchdog = timer
  }

  /// Closes the connection. Needed once for every connection; harmless when repeated.
  func close() async {
    breakDown()
    watchdog?.cancel()
    watchdog = nil
    cancelHandle = nil
    if let handle {
      self.handle = nil
      PQfinish(handle)
    }
  }

  private func errorMessage(_ handle: OpaquePointer) -> String {
    String(cString: PQerrorMessage(handle)).trimmingLines()
  }
}

/// What another session announced with NOTIFY.
public struct Notification: Sendable {
  public let channel: String
  public let payload: String
}

/// Lends an array of C strings that ends with a null pointer.
private func withCStrings<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  let bytes = strings.map { Array($0.utf8CString) }
  func lend(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
    guard index < bytes.count else { return body(pointers + [nil]) }
    return bytes[index].withUnsafeBufferPointer { lend(index + 1, pointers + [$0.baseAddress]) }
  }
  return lend(0, [])
}
