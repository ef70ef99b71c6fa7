import Checkout
import LocalPostgres
import Logging
import Postgres
import TestSupport
import Testing

/// Runs `body` with a migrated database on a PostgreSQL server of its own. That server has full durability.
func withDurableDatabase(_ body: @Sendable (_ url: String) async throws -> Void) async throws {
  try await LocalPostgres.withServer(
    directory: temporaryDirectory(), ephemeral: true,
    logger: Logger(label: "postgres") { _ in SwiftLogNoOpLogHandler() }
  ) { postgres in
    _ = try await Migrator(ConnectionConfiguration(url: postgres.databaseURL())).migrate(
      serverRole: TestDatabases.serverRole)
    try await body(postgres.databaseURL())
  }
}

/// Runs `body` with a pool of two connections, past the servers.
@discardableResult
func withPool<Result: Sendable>(on url: String, _ body: (Pool) async throws -> Result) async throws -> Result {
  let pool = Pool(ConnectionConfiguration(url: url), size: 2)
  do {
    let result = try await body(pool)
    await pool.close()
    return result
  } catch {
    await pool.close()
    throw error
  }
}

extension Pool {
  /// The ids of all holds, as clients see them.
  func holdIDs() async throws -> Set<String> {
    Set(try await execute(HoldIDs()))
  }
}

private struct HoldIDs: PreparedStatement {
  static let name = "hold_ids"
  static let sql = "select 'hold_' || translate(id::text, '-', '') from holds"
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> String { try row.decode() }
}

/// Expects that `flashsale audit` finds no broken invariant.
func expectCleanAudit(_ url: String, at location: SourceLocation = #_sourceLocation) async throws {
  let audit = try await flashsale(["audit"], database: url)
  #expect(audit.status == .exited(0), "\(audit)", sourceLocation: location)
}
