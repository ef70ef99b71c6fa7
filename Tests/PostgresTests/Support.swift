import Foundation
import LocalPostgres
import Logging
import Secrets
import Synchronization
import TestSupport
import Testing
import Time

@testable import Postgres

// MARK: Databases and connections

/// Lends a connection to a new empty database, and the connection's configuration.
func withConnection<Result: Sendable>(
  configure: @Sendable (inout ConnectionConfiguration) -> Void = { _ in },
  _ body: @Sendable (Connection, ConnectionConfiguration) async throws -> Result
) async throws -> Result {
  try await TestDatabases.withEmptyDatabase { url in
    var configuration = ConnectionConfiguration(url: url)
    configure(&configuration)
    return try await withConnection(configuration) { [configuration] in try await body($0, configuration) }
  }
}

/// Lends a connection and closes it.
func withConnection<Result: Sendable>(
  _ configuration: ConnectionConfiguration, _ body: @Sendable (Connection) async throws -> Result
) async throws -> Result {
  let connection = try await Connection.connect(configuration)
  do {
    let result = try await body(connection)
    await connection.close()
    return result
  } catch {
    await connection.close()
    throw error
  }
}

/// Lends a pool on a new empty database, and an observer: a connection that is not in the pool.
func withPool<Result: Sendable>(
  size: Int, configure: @Sendable (inout ConnectionConfiguration) -> Void = { _ in },
  _ body: @Sendable (Pool, Connection) async throws -> Result
) async throws -> Result {
  try await withConnection(configure: configure) { observer, configuration in
    let pool = Pool(configuration, size: size)
    do {
      let result = try await body(pool, observer)
      await pool.close()
      return result
    } catch {
      await pool.close()
      throw error
    }
  }
}

/// Lends a private server, for tests that stop, configure or restart it.
func withServer<Result: Sendable>(
  directory: String = temporaryDirectory(), ephemeral: Bool = true, settings: [String: String] = [:],
  _ body: @Sendable (LocalPostgres) async throws -> Result
) async throws -> Result {
  var logger = Logger(label: "tests")
  logger.logLevel = .error
  return try await LocalPostgres.withServer(
    directory: directory, ephemeral: ephemeral, settings: settings.merging(["fsync": "off"]) { given, _ in given },
    logger: logger, body: body)
}

/// Lends a private server whose `pg_hba.conf` is `rules`.
func withServer(rules: String, _ body: @Sendable (LocalPostgres) async throws -> Void) async throws {
  let file = temporaryDirectory() + ".conf"
  try rules.write(toFile: file, atomically: true, encoding: .utf8)
  defer { try? FileManager.default.removeItem(atPath: file) }
  try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
  try await withServer(settings: ["hba_file": file], body)
}

extension ConnectionConfiguration {
  /// `url` as a text that tests can change.
  var text: String {
    get { url.revealed() }
    set { url = Secret(newValue) }
  }
}

extension String {
  /// This URL with the name of another database.
  func database(_ name: String) -> String {
    self[...lastIndex(of: "/")!] + name
  }
}

// MARK: Statements

extension Connection {
  /// The value of the expression `sql` as text; the empty string for null.
  func text(_ sql: String) async throws -> String {
    try executeScript(
      """
      create or replace temporary view text_answer as
        select coalesce((\(sql))::text, '') collate "default" as value
      """)
    return try await execute(ReadText())[0]
  }

  func integer(_ sql: String) async throws -> Int64 {
    let answer = try await text(sql)
    return try #require(Int64(answer))
  }

  /// The process id of the connection's backend, `pg_stat_activity.pid`.
  func processID() async throws -> Int32 {
    Int32(try await integer("pg_backend_pid()"))
  }

  /// Terminates the backend of another connection.
  func terminate(_ processID: Int32) async throws {
    #expect(try await text("pg_terminate_backend(\(processID))") == "true")
  }

  /// The number of other connections to this database.
  func otherConnections() async throws -> Int64 {
    try await integer(
      """
      select count(*) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
      """)
  }

  /// The number of statements that wait for an advisory lock in this database.
  func waitingForLock() async throws -> Int64 {
    try await integer(
      """
      select count(*) from pg_locks
       where locktype = 'advisory' and not granted
         and database = (select oid from pg_database where datname = current_database())
      """)
  }

  /// Takes the lock that `WaitForLock` waits for.
  func holdLock() async throws { try executeScript("select pg_advisory_lock(1)") }
  func releaseLock() async throws { try executeScript("select pg_advisory_unlock(1)") }
}

private struct ReadText: PreparedStatement {
  static let name = "read_text"
  static let sql = "select value from text_answer"
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> String { try row.decode() }
}

/// Sleeps on the server and can be cancelled.
struct Sleep: PreparedStatement {
  static let name = "sleep"
  static let sql = "select pg_sleep(($1::bigint / 1000.0)::double precision)"
  static let isCancellable = true
  let milliseconds: Int64
  func bind(to parameters: inout Parameters) { parameters.append(milliseconds) }
  static func decode(_ row: inout Row) throws {}
}

/// Waits on the server until the lock of `holdLock` is released.
struct WaitForLock: PreparedStatement {
  static let name = "wait_for_lock"
  static let sql = "select 1::bigint from (select pg_advisory_xact_lock(1)) as locked"
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> Int64 { try row.decode() }
}

/// Waits as `WaitForLock` does, and can be cancelled.
struct WaitForLockOrCancellation: PreparedStatement {
  static let name = "wait_for_lock_or_cancellation"
  static let sql = WaitForLock.sql
  static let isCancellable = true
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> Int64 { try row.decode() }
}

/// Sends a value and reads it back.
struct Echo<Value: PostgresEncodable & PostgresDecodable>: PreparedStatement {
  static var name: String { "echo_\(Value.postgresType)" }
  static var sql: String { "select $1::\(sqlName(Value.postgresType))" }
  let value: Value?

  init(_ value: Value?) { self.value = value }

  func bind(to parameters: inout Parameters) { parameters.append(value) }
  static func decode(_ row: inout Row) throws -> Value? { try row.decodeIfPresent() }
}

func sqlName(_ type: UInt32) -> String {
  let names = [
    TypeID.bool: "boolean", TypeID.int4: "integer", TypeID.int8: "bigint", TypeID.text: "text",
    TypeID.uuid: "uuid", TypeID.timestamptz: "timestamptz",
  ]
  if let name = names[type] { return name }
  return names.first { TypeID.arrayOf[$0.key] == type }!.value + "[]"
}

// MARK: Errors

extension PostgresError {
  var isCannotConnect: Bool { if case .cannotConnect = self { true } else { false } }
  var isConnectionLost: Bool { if case .connectionLost = self { true } else { false } }
  var isUnexpectedRow: Bool { if case .unexpectedRow = self { true } else { false } }
  var isPoolUnavailable: Bool { if case .poolUnavailable = self { true } else { false } }

  var serverError: ServerError? {
    if case .server(let error) = self { error } else { nil }
  }
}

/// Returns the `PostgresError` that `body` throws. The test fails when `body` throws another error or none.
@discardableResult
func postgresError<Result>(
  at location: SourceLocation = #_sourceLocation, _ body: () async throws -> Result
) async throws -> PostgresError {
  try await #require(throws: PostgresError.self, sourceLocation: location) { _ = try await body() }
}

/// Returns the server error that `body` throws. The test fails when `body` throws another error or none.
@discardableResult
func serverError<Result>(
  at location: SourceLocation = #_sourceLocation, _ body: () async throws -> Result
) async throws -> PostgresError.ServerError {
  let error = try await postgresError(at: location, body)
  return try #require(error.serverError, "\(error)", sourceLocation: location)
}

// MARK: Events

/// Closed until `open`. One task can wait for it.
struct Gate: Sendable {
  private let stream: AsyncStream<Void>
  private let opener: AsyncStream<Void>.Continuation
  init() { (stream, opener) = AsyncStream.makeStream() }
  func open() { opener.finish() }
  func wait() async { for await _ in stream {} }
}

/// A value that several tasks change.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>
  init(_ value: Value) { mutex = Mutex(value) }

  var value: Value { mutex.withLock(\.self) }

  @discardableResult
  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    mutex.withLock { body(&$0) }
  }
}
