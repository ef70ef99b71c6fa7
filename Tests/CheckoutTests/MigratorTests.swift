import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct MigratorTests {
  @Test func concurrentMigratorsApplyEverythingOnce() async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let configuration = ConnectionConfiguration(url: url)
      let applied = try await withThrowingTaskGroup(of: [String].self) { group in
        for _ in 0..<8 { group.addTask { try await Migrator(configuration).migrate() } }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(applied.count == Set(applied).count)
      #expect(applied.contains("0001_checkout"))
      try await Migrator(configuration).verify()
      #expect(try await Migrator(configuration).migrate() == [])
    }
  }

  @Test func aSchemaThatIsBehindIsRefused() async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let migrator = Migrator(ConnectionConfiguration(url: url))
      let error = await #expect(throws: MigrationError.self) { try await migrator.verify() }
      guard case .schemaIsBehind = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test func aFunctionThatDiffersIsReplaced() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        "update schema_files set checksum = 'old' where name = 'read_orders'; drop function read_orders")
      #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == ["read_orders"])
      #expect(try await pool.integer("select count(*) from pg_proc where proname = 'read_orders'") == 1)
      await pool.close()
    }
  }

  @Test func aNewerDatabaseAndAnEditedMigrationAreRefused() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run("insert into schema_files values ('migration', '9999_future', 'x')")
      let newer = await #expect(throws: MigrationError.self) {
        try await Migrator(ConnectionConfiguration(url: url)).migrate()
      }
      #expect(newer?.description.contains("9999_future") == true)
      try await pool.run(
        "delete from schema_files where name = '9999_future'; update schema_files set checksum = 'x' where kind = 'migration'"
      )
      let edited = await #expect(throws: MigrationError.self) {
        try await Migrator(ConnectionConfiguration(url: url)).migrate()
      }
      #expect(edited?.description.contains("edited") == true)
      await pool.close()
    }
  }
}
