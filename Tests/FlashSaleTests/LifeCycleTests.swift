import Checkout
import Foundation
import LocalPostgres
import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct LifeCycleTests {
    @Test func terminationFinishesWhatIsUnderWay() async throws {
      try await TestDatabases.withDatabase { url in
        // Nobody's wait in the queue ends before the test has come to its point.
        try await withServers(1, on: url, settings: ["QUEUE_TIMEOUT_MS": "60000"]) { servers in
          let api = servers[0].api
          let product = try await api.createProduct(stock: 5)
          let answers = try await withPool(on: url) { database in
            try await database.withConnection { connection in
              // The buyers wait in the database while the server is told to end.
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
              try await eventually("it ends") {
                (try? await api.send("GET", "/health/ready"))?.status != 200
              }
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
    }

    /// Balancers hear that it is not ready before it stops listening, and clients that they are to connect elsewhere.
    @Test func terminationLeavesTimeToGoElsewhere() async throws {
      try await TestDatabases.withDatabase { url in
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
            await #expect(throws: (any Error).self) { try await connection.answer() }
          }
          try await server.end(with: .kill)
        }
      }
    }

    @Test func databaseMayGoAndComeBack() async throws {
      // A server's socket gets a new directory with each start; this stands for whichever it is.
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
      // One whose commit may have been lost on the way: the server asks what became of it for as long as a buyer can wait.
      let (asked, answer) = (ContinuousClock.now, try await underWay.value)
      // The buyer may also have got through, when the lock went before the buyer's own connection did.
      #expect(answer.status == 503 || answer.status == 201, "\(answer)")
      #expect(asked.duration(to: .now) < .seconds(5))

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
        // What was answered with 201 is there; what was not may or may not be.
        if answer.status == 201 {
          let id = try answer.decode(APIClient.Hold.self).holdId
          #expect(try await server.api.send("GET", "/api/holds/\(id)").status == 200)
        }
        // What lapses is available at once, and released by the jobs, which run again.
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
    func startWaitsForTheDatabaseAndSaysSo(_ arguments: [String]) async throws {
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

    /// As the first process of a container it would have to be killed.
    @Test func aServerThatWaitsForTheDatabaseEndsWhenTold() async throws {
      let server = ServerProcess(database: "postgresql://nobody@127.0.0.1:1/none")
      let start = Task { try await server.start() }
      try await eventually("it says what it waits for") { server.output.contains("waiting for the database") }
      #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
      await #expect(throws: (any Error).self) { try await start.value }
    }

    @Test func aServerThatWaitsForAnotherToMigrateEndsWhenTold() async throws {
      try await TestDatabases.withDatabase { url in
        try await withPool(on: url) { pool in
          try await pool.holding("select pg_advisory_xact_lock(x'666c61736873616c'::bigint)") { _ in
            let server = ServerProcess(database: url, arguments: Self.arguments)
            let start = Task { try await server.start() }
            try await pool.untilBlocked(1)
            #expect(try await server.end(with: .terminate) == .exited(0), "\(server.output)")
            await #expect(throws: (any Error).self) { try await start.value }
          }
        }
      }
    }

    private static let arguments = ["--unsigned-webhooks", "--migrate"]

    /// Returns when the buyer waits in the database, behind somebody who goes away only with the database.
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
