import Checkout
import Foundation
import LocalPostgres
import Logging
import Postgres
import Subprocess
import Synchronization
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct LifeCycleTests {
    @Test(.database) func `SIGTERM lets requests in progress finish`() async throws {
      let url = TestDatabase.url
      // No request times out in the queue before SIGTERM arrives.
      try await withServers(1, on: url, settings: ["QUEUE_TIMEOUT_MS": "60000"]) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let answers = try await withPool(on: url) { database in
          try await database.withConnection { connection in
            // The buyers wait for this lock while the server gets SIGTERM.
            try await connection.executeScript("begin; select from flashsale.products for update")
            let buyers = Task {
              try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
                for _ in 0..<3 { group.addTask { try await api.reserve(1, of: product) } }
                return try await group.reduce(into: [APIClient.Answer]()) { $0.append($1) }
              }
            }
            try await eventually("the buyers wait") {
              try await database.integer("select count(*) from pg_locks where not granted") > 0
            }
            servers[0].send(.terminate)
            try await eventually("it drains") { servers[0].output.contains("draining") }
            try await connection.executeScript("commit")
            return try await buyers.value
          }
        }
        #expect(answers.map(\.status) == [201, 201, 201], "\(answers)")
        #expect(try await servers[0].end(with: .terminate) == .exited(0), "\(servers[0].output)")
      }
      let held = try await withPool(on: url) { try await $0.integer("select count(*) from holds") }
      #expect(held == 3)
      try await expectCleanAudit(url)
    }

    /// Before it stops listening, the server is not ready, and its responses close their connections. Balancers and
    /// clients can then use another server.
    @Test(.database) func `SIGTERM leaves clients time to connect to another server`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["SHUTDOWN_DELAY_SECONDS": "3600"]) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 5)
        let read = "GET /api/products/\(product) HTTP/1.1\r\nHost: sale\r\n\r\n"
        try await RawConnection.with(port: server.port) { connection in
          try await connection.send(read.utf8)
          #expect(try await connection.answer().headers["connection"] == nil)
          server.send(.terminate)
          try await eventually("it is not ready") {
            try await server.api.send("GET", "/health/ready").problem == "shutting-down"
          }
          #expect(try await server.api.reserve(1, of: product).status == 201)
          try await connection.send(read.utf8)
          #expect(try await connection.answer().headers["connection"] == "close")
          await #expect(throws: RawConnection.UnexpectedEnd.self) { try await connection.answer() }
        }
        try await server.end(with: .kill)
      }
    }

    @Test func `a server refuses requests while its database is down, and recovers`() async throws {
      // PostgreSQL gets a new socket directory at each start. This link always points to the current one.
      let link = temporaryDirectory()
      let directory = temporaryDirectory()
      defer {
        unlink(link)
        try? FileManager.default.removeItem(atPath: directory)
      }
      let url = "postgresql://flashsale@\(link.replacing("/", with: "%2F"))/flashsale"
      let server = ServerProcess(database: url, settings: ["HOLD_TTL_SECONDS": "0.5"], arguments: Self.arguments)

      let underWay = try await Self.withPostgres(directory, link) {
        try await server.start()
        let product = try await server.api.createProduct(stock: 10)
        #expect(product == 1)
        #expect(try await server.api.reserve(1, of: 1).status == 201)
        #expect(try await server.api.send("GET", "/health/ready").status == 200)
        return try await Self.reserveBehindALock(server.api, url)
      }
      // The buyer gets a response while the database is still down, although the commit may be a lost answer.
      // If PostgreSQL ended the session with the lock before the buyer's session, the hold was placed.
      let answer = try await underWay.value
      #expect(answer.status == 503 || answer.status == 201, "\(answer)")

      for (method, path, body) in [
        ("POST", "/api/holds", #"{"product_id":1,"quantity":1}"#), ("GET", "/api/products/1", nil),
        ("GET", "/health/ready", nil),
      ] {
        let refusal = try await server.api.send(method, path, body)
        #expect(refusal.status == 503 && refusal.problem == "database-unavailable", "\(method) \(path): \(refusal)")
        #expect(refusal.headers["retry-after"] == "1")
      }
      #expect(try await server.api.send("GET", "/health/live").status == 200)

      try await Self.withPostgres(directory, link) {
        let limit = Duration.seconds(2)
        try await eventually("the server is ready again", within: limit) {
          try await server.api.send("GET", "/health/ready").status == 200
        }
        // A hold with a 201 response exists. A hold with a 503 response may exist.
        if answer.status == 201 {
          let id = try answer.decode(APIClient.Hold.self).holdId
          #expect(try await server.api.send("GET", "/api/holds/\(id)").status == 200)
        }
        // The units of lapsed holds are available at once. The worker then expires the holds.
        try await eventually("what lapsed is available again", within: limit) {
          try await server.api.product(1).availableStock == 10
        }
        try await withPool(on: url) { database in
          try await eventually("jobs run again", within: limit) {
            try await database.integer("select count(*) from flashsale.holds where status = 'active'") == 0
          }
        }
        #expect(try await server.api.reserve(10, of: 1).status == 201)
        try await expectCleanAudit(url)
        #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
      }
    }

    @Test(arguments: [["--unsigned-webhooks", "--migrate"], ["--unsigned-webhooks"]])
    func `a start waits for the database and logs that once`(_ arguments: [String]) async throws {
      let (link, directory) = (temporaryDirectory(), temporaryDirectory())
      defer {
        unlink(link)
        try? FileManager.default.removeItem(atPath: directory)
      }
      let url = "postgresql://flashsale@\(link.replacing("/", with: "%2F"))/flashsale"
      if !arguments.contains("--migrate") {
        try await Self.withPostgres(directory, link) {
          _ = try await Migrator(ConnectionConfiguration(url: url)).migrate()
        }
      }
      unlink(link)
      let server = ServerProcess(database: url, arguments: arguments)
      let start = Task { try await server.start() }
      try await eventually("it says what it waits for") { server.output.contains("waiting for the database") }
      try await Self.withPostgres(directory, link) {
        try await start.value
        #expect(try await server.api.send("GET", "/health/ready").status == 200)
        #expect(server.output.split(separator: "waiting for the database").count == 2, "\(server.output)")
        #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
      }
    }

    /// An orchestrator restarts a server that is not live. It must not do so while the database is down.
    @Test func `a server without its database is live, and its API responds 503`() async throws {
      let (link, directory) = (temporaryDirectory(), temporaryDirectory())
      defer {
        unlink(link)
        try? FileManager.default.removeItem(atPath: directory)
      }
      let url = "postgresql://flashsale@\(link.replacing("/", with: "%2F"))/flashsale"
      let server = ServerProcess(database: url, arguments: Self.arguments)
      try await server.startListening()
      let api = server.api
      #expect(try await api.send("GET", "/health/live").status == 200)
      for (method, path, body) in [
        ("GET", "/health/ready", nil), ("GET", "/api/products", nil), ("GET", "/api/products/1", nil),
        ("GET", "/api/products/1/events", nil), ("GET", "/api/admin/invariants", nil),
        ("POST", "/api/holds", #"{"product_id":1,"quantity":1}"#),
        ("POST", "/api/admin/products", #"{"name":"Cap","price":500,"currency":"USD","total_stock":1}"#),
        (
          "POST", "/api/payments/webhook",
          #"{"idempotency_key":"k","order_id":"order_000000016b038082a7b67565b6762b58","status":"success"}"#
        ),
      ] {
        let refusal = try await api.send(method, path, body)
        #expect(refusal.status == 503 && refusal.problem == "database-unavailable", "\(method) \(path): \(refusal)")
        #expect(refusal.headers["retry-after"] == "1", "\(method) \(path): \(refusal)")
      }
      #expect(try await api.send("GET", "/metrics").status == 200)
      try await Self.withPostgres(directory, link) {
        try await eventually("it is ready", within: .seconds(60)) {
          try await api.send("GET", "/health/ready").status == 200
        }
        let product = try await api.createProduct(stock: 1)
        #expect(try await api.reserve(1, of: product).status == 201)
        #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
      }
    }

    /// A server must not serve requests from a schema that it does not know.
    @Test func `a server with an outdated schema ends`() async throws {
      try await TestDatabases.withEmptyDatabase { url in
        let result = try await flashsale(
          ["serve", "--unsigned-webhooks", "--port", "0"], database: url, settings: ["LOG_LEVEL": "error"])
        result.expectFailure(saying: "run `flashsale migrate`")
      }
    }

    @Test(.database) func `SIGHUP and SIGTERM drain, and the log shows start and end`() async throws {
      let url = TestDatabase.url
      for signal in [Signal.terminalClosed, .terminate] {
        let server = ServerProcess(database: TestDatabases.serverURL(url))
        try await server.start()
        let product = try await server.api.createProduct(stock: 5)
        try await withPool(on: url) { pool in
          try await pool.holding("select from products for update") { commit in
            async let buyer = server.api.reserve(1, of: product)
            try await pool.untilBlocked(1)
            server.send(signal)
            try await eventually("it drains") { server.output.contains("draining") }
            #expect(!server.output.contains("stopped"))
            try await commit()
            #expect(try await buyer.status == 201)
          }
        }
        #expect(try await server.end(with: signal) == .exited(0), "\(server.output)")
        #expect(server.output.split(separator: "\n").count { $0.contains("draining") } == 1, "\(server.output)")
        #expect(server.output.split(separator: "\n").count { $0.contains("stopped") } == 1, "\(server.output)")
      }
    }

    /// `nohup` starts a program with SIGHUP ignored.
    @Test(.database) func `SIGHUP that was ignored at the start stays ignored`() async throws {
      let url = TestDatabase.url
      let server = ChildProcess(
        ["-c", "trap '' HUP; exec \"$0\" serve --port 0 --unsigned-webhooks", FlashSaleExecutable.path],
        settings: ["DATABASE_URL": url], program: "/bin/sh")
      let line = try await server.line(startingWith: "flashsale serves on ")
      let api = APIClient(url: String(try #require(line.split(separator: " ").last)))
      server.send(.terminalClosed)
      // A server that drains is not ready, and ends.
      for _ in 0..<20 { #expect(try await api.send("GET", "/health/ready").status == 200) }
      server.send(.terminate)
      #expect(try await server.status == .exited(0), "\(server.output)")
    }

    @Test(.database) func `loss and return of the database are logged once each`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let name = try #require(url.split(separator: "/").last)
        func lines(with text: String) -> Int { servers[0].output.split(separator: "\n").count { $0.contains(text) } }
        try await withPool(on: url.dropLast(name.count) + "postgres") { server in
          for round in 1...2 {
            try await server.run("alter database \(name) with allow_connections false")
            try await server.run(
              "select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'")
            try await eventually("the loss is logged") { lines(with: "the database is away") == round }
            for _ in 0..<20 { #expect(try await api.reserve(1, of: product).status == 503) }
            try await server.run("alter database \(name) with allow_connections true")
            try await eventually("the return is logged") { lines(with: "the database is back") == round }
            #expect(lines(with: "the database is away") == round, "\(servers[0].output)")
            #expect(try await api.reserve(1, of: product).status == 201)
          }
        }
      }
    }

    /// In a container the server is process 1, for which SIGTERM has no default action.
    @Test func `SIGTERM ends a server that waits for its database`() async throws {
      let server = ServerProcess(database: "postgresql://nobody@127.0.0.1:1/none")
      let start = Task { try await server.start() }
      try await eventually("it says what it waits for") { server.output.contains("waiting for the database") }
      #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
      await #expect(throws: ChildProcess.UnexpectedEnd.self) { try await start.value }
    }

    @Test(.database) func `SIGTERM ends a server that waits for another server's migration`() async throws {
      let url = TestDatabase.url
      try await withPool(on: url) { pool in
        try await pool.holding("select pg_advisory_xact_lock(x'666c61736873616c'::bigint)") { _ in
          let server = ServerProcess(database: url, arguments: Self.arguments)
          let start = Task { try await server.start() }
          try await pool.untilBlocked(1)
          #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
          await #expect(throws: ChildProcess.UnexpectedEnd.self) { try await start.value }
        }
      }
    }

    private static let arguments = ["--unsigned-webhooks", "--migrate"]

    /// Returns when a buyer waits for a lock. The session with the lock ends only when the database stops.
    private static func reserveBehindALock(
      _ api: APIClient, _ url: String
    ) async throws -> Task<APIClient.Answer, any Error> {
      let isLocked = Event()
      Task {
        try await withPool(on: url) { database in
          try await database.withConnection { connection in
            try await connection.executeScript("begin; select from flashsale.products for update")
            isLocked.signal()
            try await connection.executeScript("select pg_sleep(60)")
          }
        }
      }
      await isLocked.wait()
      let buyer = Task { try await api.reserve(1, of: 1) }
      try await withPool(on: url) { database in
        try await eventually("the buyer waits") {
          try await database.integer("select count(*) from pg_locks where not granted") > 0
        }
      }
      return buyer
    }

    private static func withPostgres<Result: Sendable>(
      _ directory: String, _ link: String, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
      let quiet = Logger(label: "postgres") { _ in SwiftLogNoOpLogHandler() }
      return try await LocalPostgres.withServer(directory: directory, logger: quiet) { postgres in
        let host = try #require(URL(string: postgres.databaseURL())?.host(percentEncoded: false))
        unlink(link)
        try #require(symlink(host, link) == 0)
        return try await body()
      }
    }
  }
}
