import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct MigratorTests {
  @Test func `concurrent migrators apply each file once`() async throws {
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

  @Test func `a schema that is behind is refused`() async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let migrator = Migrator(ConnectionConfiguration(url: url))
      let error = await #expect(throws: MigrationError.self) { try await migrator.verify() }
      guard case .schemaIsBehind = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test(.database) func `a function that differs is replaced`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      "update schema_files set checksum = 'old' where name = 'read_orders'; drop function read_orders")
    #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == ["read_orders"])
    #expect(try await pool.integer("select count(*) from pg_proc where proname = 'read_orders'") == 1)
    await pool.close()
  }

  @Test(.database) func `a newer schema and an edited migration are refused`() async throws {
    let url = TestDatabase.url
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

  @Test(arguments: ["SQL_ASCII", "LATIN1"])
  func `a database that is not UTF-8 is refused`(encoding: String) async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let name = String(url.split(separator: "/").last!) + "_other"
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run("create database \(name) encoding '\(encoding)' locale 'C' template template0")
      let migrator = { Migrator(ConnectionConfiguration(url: url + "_other")) }
      for call in [
        { _ = try await migrator().migrate() }, { _ = try await migrator().status() },
        { try await migrator().verify() },
      ] {
        let error = await #expect(throws: MigrationError.self) { try await call() }
        #expect(
          error?.description.contains("its encoding is \(encoding), not UTF8") == true, "\(String(describing: error))")
      }
      try await pool.run("drop database \(name) with (force)")
      await pool.close()
    }
  }

  @Test func `an old PostgreSQL and a standby are refused`() {
    var facts = DatabaseRequirements.Facts(version: 12_00_00, encoding: "UTF8", isStandby: false)
    #expect(facts.problem == nil)
    facts.version = 11_00_22
    #expect(facts.problem?.contains("PostgreSQL 11") == true)
    facts.version = 18_00_04
    facts.isStandby = true
    #expect(facts.problem?.contains("standby") == true)
  }
}
