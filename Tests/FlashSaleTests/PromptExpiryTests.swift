import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct PromptExpiryTests {
    private static let settings = ["HOLD_TTL_SECONDS": "0.3"]

    @Test(.database) func `a server without notifications expires its own holds by its alarm`() async throws {
      let url = TestDatabase.url
      let unreachable = Self.settings.merging(["LISTEN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"]) { $1 }
      try await withServers(1, on: url, settings: unreachable) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        for _ in 0..<5 {
          let hold = try await Self.hold(product, at: servers[0])
          try await Self.expectExpired(hold, within: .milliseconds(200), on: url)
        }
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `another server expires a killed server's hold after its notification`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url, settings: Self.settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        // Three times, because one poll could come at the right moment by chance.
        for _ in 0..<3 {
          let hold = try await Self.holdThenKill(product, at: servers[0], on: url)
          try await Self.expectExpired(hold, within: .milliseconds(200), on: url)
          try await servers[0].start()
        }
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `another server expires a killed server's hold by polling`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url, settings: Self.settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        for _ in 0..<3 {
          let hold = try await Self.hold(product, at: servers[0])
          try await servers[0].end(with: .kill)
          try await Self.expectExpired(hold, within: .milliseconds(1200), on: url)
          try await servers[0].start()
        }
        try await expectCleanAudit(url)
      }
    }

    private static func hold(_ product: Int, at server: ServerProcess) async throws -> APIClient.Hold {
      let answer = try await server.api.reserve(1, of: product)
      try #require(answer.status == 201, "\(answer)")
      return try answer.decode()
    }

    /// Places a hold, and kills the server as soon as it has announced the job that expires the hold.
    static func holdThenKill(_ product: Int, at server: ServerProcess, on url: String) async throws -> APIClient.Hold {
      var announcements = NotificationListener(ConnectionConfiguration(url: url), channels: ["scheduled_jobs"])
        .makeAsyncIterator()
      guard case .listening? = await announcements.next() else {
        throw Unannounced()
      }
      let hold = try await hold(product, at: server)
      guard case .notification? = await announcements.next() else {
        throw Unannounced()
      }
      try await server.end(with: .kill)
      return hold
    }

    private struct Unannounced: Error {}

    /// Expects that a worker expires the hold within `limit` after its deadline, without any request. The lateness of
    /// the machine at that moment is added to the limit.
    static func expectExpired(_ hold: APIClient.Hold, within limit: Duration, on url: String) async throws {
      let deadline = try hold.expiry()
      let lateness = try await withPool(on: url) { database in
        let lateness = try await machineLateness(at: deadline, asking: database)
        try await eventually("the hold has expired") {
          try await database.integer("select count(*) from holds where status = 'active'") == 0
        }
        return lateness
      }
      let delay = Duration.microseconds(now() - deadline)
      #expect(delay > .zero && delay < limit + lateness)
    }
  }
}
