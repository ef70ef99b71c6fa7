import Foundation
import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  /// Servers behind PgBouncer in transaction mode. Each transaction may get another connection to PostgreSQL.
  @Suite struct PoolerTests {
    /// - Parameter database: the address for LISTEN. Through the pooler, LISTEN would end with its transaction.
    private static func settings(_ database: String, _ more: [String: String] = [:]) -> [String: String] {
      let settings = [
        "DB_NAMED_STATEMENTS": "false", "LISTEN_DATABASE_URL": TestDatabases.serverURL(database),
      ]
      return settings.merging(more) { $1 }
    }

    private static func withPooledServers(
      _ more: [String: String] = [:],
      _ body: @Sendable (_ database: String, Pooler, [ServerProcess]) async throws -> Void
    ) async throws {
      try await TestDatabases.withDatabase { url in
        try await withPooler(to: url) { pooler in
          try await withServers(2, on: pooler.url, settings: settings(url, more)) { servers in
            try await body(url, pooler, servers)
          }
        }
        try await expectCleanAudit(url)
      }
    }

    @Test func `a purchase succeeds through a pooler`() async throws {
      try await Self.withPooledServers { _, _, servers in
        let (one, two) = (servers[0].api, servers[1].api)
        let product = try await one.createProduct(stock: 2)
        let hold = try await one.reserve(1, of: product).decode(APIClient.Hold.self)
        let other = try await two.reserve(1, of: product).decode(APIClient.Hold.self)
        let refusal = try await one.reserve(1, of: product)
        #expect(refusal.status == 409 && refusal.problem == "insufficient-stock", "\(refusal)")

        #expect(try await two.order(hold.holdId).status == 201)
        let payment = try await one.pay(hold.orderID, key: "pooled").decode(APIClient.Payment.self)
        #expect(payment.verdict == "applied" && payment.orderStatus == "paid")
        let replay = try await two.pay(hold.orderID, key: "pooled")
        #expect(replay.status == 200 && replay.headers["idempotent-replayed"] == "true", "\(replay)")
        let order = try await two.send("GET", "/api/orders/\(hold.orderID)").decode(APIClient.Order.self)
        #expect(order.status == "paid")

        #expect(try await two.release(other.holdId).decode(APIClient.Hold.self).status == "released")
        #expect(try await one.product(product).availableStock == 1)
        #expect(try await two.send("GET", "/health/ready").status == 200)
        #expect(try await one.invariants().status == 200)
      }
    }

    /// Each server detects the loss itself. No client gets the error that reveals it.
    @Test func `servers stop using named statements that the pooler loses`() async throws {
      try await Self.withPooledServers(["DB_NAMED_STATEMENTS": "true"]) { url, _, servers in
        let products = try await withThrowingTaskGroup(of: Int.self) { group in
          for number in 0..<8 { group.addTask { try await servers[number % 2].api.createProduct(stock: 100) } }
          return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        try await withThrowingDiscardingTaskGroup { group in
          for buyer in 0..<200 {
            let (one, two) = (servers[buyer % 2].api, servers[(buyer + 1) % 2].api)
            let product = products[buyer / 2 % products.count]
            group.addTask {
              let hold = try await one.reserve(1, of: product)
              try #require(hold.status == 201, "\(hold)")
              let bought = try hold.decode(APIClient.Hold.self)
              let order = try await two.order(bought.holdId)
              #expect(order.status == 201, "\(order)")
              let payment = try await one.pay(bought.orderID, key: bought.holdId)
              #expect(payment.status == 200, "\(payment)")
              let read = try await two.send("GET", "/api/orders/\(bought.orderID)")
              #expect(read.status == 200, "\(read)")
            }
          }
        }
        for server in servers {
          #expect(try await server.api.send("GET", "/health/ready").status == 200)
          #expect(
            server.output.components(separatedBy: "prepared statements are lost").count == 2, "\(server.output)")
        }
      }
    }

    /// There are more concurrent batches than PgBouncer has connections. Each batch gets whichever connection is free.
    @Test func `many batches share few pooler connections`() async throws {
      try await Self.withPooledServers { url, _, servers in
        var products: [Int] = []
        for _ in 0..<8 { products.append(try await servers[0].api.createProduct(stock: 20)) }
        let holds = try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
          for buyer in 0..<(products.count * 30) {
            let product = products[buyer / 2 % products.count]
            group.addTask { try await servers[buyer % 2].api.reserve(1, of: product) }
          }
          return try await group.reduce(into: [APIClient.Answer]()) { $0.append($1) }
        }
        #expect(holds.filter { $0.status == 201 }.count == products.count * 20)
        #expect(holds.filter { $0.problem == "insufficient-stock" }.count == products.count * 10)
        let orders = try await withThrowingTaskGroup(of: UInt.self) { group in
          for (buyer, hold) in holds.filter({ $0.status == 201 }).enumerated() {
            group.addTask {
              let hold = try hold.decode(APIClient.Hold.self)
              let order = try await servers[buyer % 2].api.order(hold.holdId)
              try #require(order.status == 201, "\(order)")
              return try await servers[(buyer + 1) % 2].api.pay(hold.orderID, key: hold.holdId).status
            }
          }
          return try await group.reduce(into: [UInt]()) { $0.append($1) }
        }
        #expect(orders == orders.map { _ in 200 })
        let paid = try await withPool(on: url) {
          try await $0.integer("select count(*) from orders where status = 'paid'")
        }
        #expect(paid == orders.count)
      }
    }

    /// The other server learns of the hold only from a notification, on a connection past the pooler.
    @Test func `a server that listens past the pooler expires a killed server's hold`() async throws {
      try await Self.withPooledServers(["HOLD_TTL_SECONDS": "0.3"]) { url, _, servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        for _ in 0..<3 {
          let hold = try await PromptExpiryTests.holdThenKill(product, at: servers[0], on: url)
          try await PromptExpiryTests.expectExpired(hold, within: .milliseconds(200), on: url)
          try await servers[0].start()
        }
      }
    }

    @Test func `holds are placed while the pooler reconnects and after its restart`() async throws {
      try await Self.withPooledServers { _, pooler, servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 1000)
        for _ in 0..<3 {
          async let reconnected: Void = pooler.reconnect()
          try await Self.reserve(product, at: servers)
          try await reconnected
          try await Self.reserve(product, at: servers)
        }
        try await pooler.end(with: .kill)
        for server in servers {
          let refusal = try await server.api.reserve(1, of: product)
          #expect(refusal.status == 503 && refusal.problem == "database-unavailable", "\(refusal)")
        }
        try await pooler.start()
        for server in servers {
          try await eventually("holds are placed again", within: .seconds(2)) {
            try await server.api.reserve(1, of: product).status == 201
          }
        }
        #expect(try await api.product(product).availableStock == 1000 - 14)
      }
    }

    private static func reserve(_ product: Int, at servers: [ServerProcess]) async throws {
      for server in servers {
        let answer = try await server.api.reserve(1, of: product)
        #expect(answer.status == 201, "\(answer)")
      }
    }

    /// The pooler does not pass on the settings that a server makes when it connects.
    @Test func `the lock_timeout of the role applies through the pooler`() async throws {
      try await Self.withPooledServers { url, pooler, servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        try await withPool(on: url) { database in
          try await database.run(
            """
            do $$ begin
              execute format('alter role \(TestDatabases.serverRoleName) in database %I set lock_timeout = ''300ms''',
                             current_database());
            end $$
            """)
          // The role's setting applies to new sessions only.
          try await pooler.reconnect()
          try await database.holding("select from products for update") { _ in
            // The product stays locked. Without a lock_timeout, the server would give up the connection at last, and
            // respond with another problem.
            let refusal = try await servers[0].api.reserve(1, of: product)
            #expect(refusal.status == 503 && refusal.problem == "database-unavailable", "\(refusal)")
          }
        }
        #expect(try await servers[0].api.reserve(1, of: product).status == 201)
      }
    }
  }
}
