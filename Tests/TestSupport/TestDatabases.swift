import Checkout
import Foundation
import LocalPostgres
import Logging
import Postgres
import Synchronization

/// Creates a database for each test, so tests can run in parallel.
///
/// The databases are clones of a migrated template. The first test starts their private PostgreSQL. It stops when the
/// test process ends.
package enum TestDatabases {
  /// Lends the connection URI of a new database that has the schema and no rows.
  package static func withDatabase<Result: Sendable>(
    _ body: @Sendable (_ url: String) async throws -> Result
  ) async throws -> Result {
    try await withDatabase(template: "checkout_template", body)
  }

  /// Lends the connection URI of a new database without any schema.
  package static func withEmptyDatabase<Result: Sendable>(
    _ body: @Sendable (_ url: String) async throws -> Result
  ) async throws -> Result {
    try await withDatabase(template: "template1", body)
  }

  /// The role of servers. It can only call functions.
  package static let serverRole = ServerRole(name: serverRoleName)
  package static let serverRoleName = "flashsale_server"

  /// The connection URI of a database for the servers' role.
  ///
  /// - Parameter url: the URI for the database's owner.
  package static func serverURL(_ url: String) -> String {
    url.replacing("//flashsale@", with: "//\(serverRoleName)@")
  }

  private static func withDatabase<Result: Sendable>(
    template: String, _ body: @Sendable (String) async throws -> Result
  ) async throws -> Result {
    let server = try await shared.value
    let number = nextNumber.withLock { number in
      number += 1
      return number
    }
    let name = "test_\(number)"
    try await server.administration.withConnection {
      try await $0.executeScript("create database \(name) template \(template)")
    }
    do {
      let result = try await body(server.postgres.databaseURL(name))
      try await server.drop(name)
      return result
    } catch {
      try await server.drop(name)
      throw error
    }
  }

  private static let nextNumber = Mutex(0)

  private struct Server: Sendable {
    let postgres: LocalPostgres
    let administration: Pool

    func drop(_ name: String) async throws {
      try await administration.withConnection {
        try await $0.executeScript("drop database if exists \(name) with (force)")
      }
    }
  }

  /// Started once for the process. The server stops when the process ends, even by a signal.
  private static let shared = Task {
    try await withCheckedThrowingContinuation { (started: CheckedContinuation<Server, any Error>) in
      Task {
        do {
          try await start { started.resume(returning: $0) }
        } catch {
          started.resume(throwing: error)
        }
      }
    }
  }

  private static func start(_ onStarted: @Sendable (Server) -> Void) async throws {
    // The data end with the process, so they need no flush to disk. Tests of durability use another server.
    let settings = ["fsync": "off", "max_connections": "500", "autovacuum_naptime": "5s"]
    try await LocalPostgres.withServer(
      directory: temporaryDirectory(), ephemeral: true, settings: settings, logger: Logger(label: "tests")
    ) { postgres in
      var configuration = ConnectionConfiguration(url: postgres.databaseURL("postgres"))
      configuration.statementTimeout = .seconds(60)
      let administration = Pool(configuration, size: 1)
      try await administration.withConnection { try await $0.executeScript("create database checkout_template") }
      // Tests name tables without the schema, as functions do.
      try await administration.withConnection {
        try await $0.executeScript("alter role flashsale set search_path = flashsale, public")
      }
      _ = try await Migrator(ConnectionConfiguration(url: postgres.databaseURL("checkout_template"))).migrate(
        serverRole: serverRole)
      try await allowShortRetention(on: postgres.databaseURL("checkout_template"))
      try await applyMutant(to: postgres.databaseURL("checkout_template"))
      onStarted(Server(postgres: postgres, administration: administration))
      // The server runs until the process ends.
      while true { try await Task.sleep(for: .seconds(3600)) }
    }
  }

  /// Removes the minimum retention, so tests of retention need no hour. Only the owner of the tables can do this.
  private static func allowShortRetention(on url: String) async throws {
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run("update minimum_retention set idempotency_key = '0', parked_event = '0'")
    await pool.close()
  }

  /// Runs the SQL file in `FLASHSALE_MUTANT`, which removes a guard from a function. The tests must fail then. See
  /// Tests/Mutants.
  private static func applyMutant(to url: String) async throws {
    guard let path = ProcessInfo.processInfo.environment["FLASHSALE_MUTANT"] else { return }
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(String(contentsOfFile: path, encoding: .utf8))
    await pool.close()
  }
}
