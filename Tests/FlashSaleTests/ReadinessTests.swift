import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  /// A server is ready if it could place a hold now.
  @Suite struct ReadinessTests {
    private static func ready(_ server: ServerProcess) async throws -> APIClient.Answer {
      try await server.api.send("GET", "/health/ready")
    }

    /// Expects 503 with a reason, one log line with advice, and another log line after the remedy.
    private static func expectReason(
      _ reason: String, advice: String, of server: ServerProcess, _ remedy: () async throws -> Void,
      at location: SourceLocation = #_sourceLocation
    ) async throws {
      for _ in 0..<3 {
        let answer = try await ready(server)
        #expect(answer.status == 503 && answer.problem == "database-unavailable", "\(answer)", sourceLocation: location)
        #expect((answer.members["detail"] as? String)?.contains(reason) == true, "\(answer)", sourceLocation: location)
        #expect(answer.headers["retry-after"] == "1", sourceLocation: location)
      }
      try await remedy()
      try await eventually("it is ready again") { try await ready(server).status == 200 }
      let product = try await server.api.createProduct(stock: 1)
      #expect(try await server.api.reserve(1, of: product).status == 201, sourceLocation: location)
      try await eventually("the log says so") { server.output.contains("ready again") }
      let lines = server.output.split(separator: "\n").filter { $0.contains("not ready") }
      #expect(lines.count == 1, "\(server.output)", sourceLocation: location)
      #expect(lines.first?.contains(advice) == true, "\(server.output)", sourceLocation: location)
    }

    @Test(.database) func `readiness reports that the role may not call a function`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        #expect(try await Self.ready(servers[0]).status == 200)
        try await withPool(on: url) { pool in
          func statement(_ action: String) -> String {
            """
            do $$ begin
              execute format('\(action) \(TestDatabases.serverRoleName)', 'flashsale.read_orders'::regproc::regprocedure);
            end $$
            """
          }
          try await pool.run(statement("revoke execute on function %s from"))
          try await Self.expectReason(
            "may not call the function read_orders", advice: "migrate --server-role flashsale_server", of: servers[0]
          ) { try await pool.run(statement("grant execute on function %s to")) }
        }
      }
    }

    @Test(.database) func `readiness reports an outdated schema`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await withPool(on: url) { pool in
          try await pool.run("update schema_files set checksum = 'x' || checksum where name = 'read_orders'")
          try await Self.expectReason("schema is not the one", advice: "run `flashsale migrate`", of: servers[0]) {
            try await pool.run("update schema_files set checksum = substr(checksum, 2) where name = 'read_orders'")
          }
        }
      }
    }

    @Test(.database) func `readiness reports a locked table`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await withPool(on: url) { pool in
          try await pool.holding("lock table holds in access exclusive mode") { commit in
            try await Self.expectReason(
              "A table is locked by another session", advice: "pg_blocking_pids", of: servers[0], commit)
          }
        }
        // Many lock timeouts give one log line.
        let lines = servers[0].output.split(separator: "\n").filter { $0.contains("waited too long for a lock") }
        #expect(lines.count == 1, "\(servers[0].output)")
      }
    }

    /// The pooler drops the settings that the server makes when it connects, so those of the role apply.
    @Test(arguments: [
      ("default_transaction_read_only = on", "read-only", "set default_transaction_read_only = off"),
      (
        "default_transaction_isolation = 'serializable'", "isolation serializable",
        "set default_transaction_isolation = 'read committed'"
      ),
    ])
    func `readiness reports a role setting that applies through a pooler`(
      setting: String, reason: String, advice: String
    ) async throws {
      try await TestDatabases.withDatabase { url in
        let role = "alter role \(TestDatabases.serverRoleName) in database \(url.split(separator: "/").last!)"
        try await withPooler(to: url) { pooler in
          let settings = [
            "DB_NAMED_STATEMENTS": "false", "LISTEN_DATABASE_URL": TestDatabases.serverURL(url),
          ]
          try await withServers(1, on: pooler.url, settings: settings) { servers in
            try await withPool(on: url) { pool in
              #expect(try await Self.ready(servers[0]).status == 200)
              try await pool.run("\(role) set \(setting)")
              try await pooler.reconnect()
              try await eventually("it is not ready") { try await Self.ready(servers[0]).status == 503 }
              try await Self.expectReason(reason, advice: advice, of: servers[0]) {
                try await pool.run("\(role) reset all")
                try await pooler.reconnect()
              }
            }
          }
        }
      }
    }

    @Test(.database) func `readiness reports that the database is away`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        try await withPool(on: url.replacing(url.split(separator: "/").last!, with: "postgres")) { pool in
          let name = url.split(separator: "/").last!
          try await pool.run("alter database \(name) allow_connections false")
          try await pool.run(
            "do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'; end $$")
          try await eventually("it is not ready") { try await Self.ready(servers[0]).status == 503 }
          try await Self.expectReason(
            "The database cannot be reached", advice: "is not currently accepting connections", of: servers[0]
          ) { try await pool.run("alter database \(name) allow_connections true") }
        }
      }
    }
  }
}
