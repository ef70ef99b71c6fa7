import Foundation
import Postgres
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  @Suite struct StockStreamTests {
    @Test(.database) func `a stream begins with the product as GET returns it`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        let reader = try await servers[0].watch(product)
        #expect(reader.status == 200)
        #expect(reader.headers["cache-control"] == "no-store")
        try await eventually("the first event", within: .seconds(1)) { !reader.events.isEmpty }
        let answer = try await servers[0].api.send("GET", "/api/products/\(product)")
        #expect(reader.events.first?.data == String(buffer: answer.body))

        for path in ["999", "0", "x"] {
          let refused = try await EventReader.open("\(servers[0].url)/api/products/\(path)/events")
          #expect(refused.status == 404 && refused.headers["content-type"] == "application/problem+json")
        }
      }
    }

    @Test(.database) func `a stream shows each kind of change made through another server`() async throws {
      let url = TestDatabase.url
      let settings = ["HOLD_TTL_SECONDS": "3", "ORDER_TTL_SECONDS": "1.5"]
      try await withServers(2, on: url, settings: settings) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 10)
        let reader = try await servers[1].watch(product)
        func expectStock(
          _ stock: Int, within limit: Duration = .milliseconds(700), at location: SourceLocation = #_sourceLocation
        ) async throws {
          try await eventually("\(stock) are left", within: limit, at: location) { reader.availableStock == stock }
        }
        try await expectStock(10)
        let released = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        try await expectStock(9)
        #expect(try await api.release(released.holdId).status == 200)
        try await expectStock(10)

        let hold = try await api.reserve(2, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(hold.holdId).status == 201)
        try await expectStock(8)
        #expect(try await api.pay(hold.orderID, key: "failure", status: "failed").status == 200)
        try await expectStock(10)
        #expect(try await api.pay(hold.orderID, key: "success").status == 200)
        try await expectStock(8)

        // This hold lapses, and this order is not paid.
        let lapsing = try await api.reserve(3, of: product).decode(APIClient.Hold.self)
        try await expectStock(5)
        let unpaid = try await api.reserve(4, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(unpaid.holdId).status == 201)
        try await expectStock(1)
        try await expectStock(5, within: .milliseconds(1500 + 700))
        try await sleep(until: lapsing.expiry())
        try await expectStock(8)
      }
    }

    @Test(.database) func `a burst gives at most ten events a second and the final stock`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 1_000_000)
        var readers: [EventReader] = []
        // Taken before the streams begin. Late reading can then only lengthen the measured times.
        let beginning = Moment.now
        for number in 0..<20 { readers.append(try await servers[number % 2].watch(product)) }
        let start = Moment.now
        try await withThrowingDiscardingTaskGroup { group in
          for server in servers {
            for _ in 0..<4 {
              group.addTask {
                while start.duration(to: .now) < .seconds(3) { _ = try await server.api.reserve(1, of: product) }
              }
            }
          }
        }
        let final = try await servers[0].api.product(product).availableStock
        let delay = try await eventually("each reader has the final stock", within: .seconds(1)) {
          readers.allSatisfy { $0.availableStock == final }
        }
        print("all \(readers.count) readers have the final stock after \(delay)")
        for reader in readers {
          let arrivals = reader.events.map { beginning.duration(to: $0.arrival) }
          // A stream begins with one event. A tenth of a second passes for each event after the second one.
          for (index, arrival) in arrivals.enumerated() {
            #expect(arrival >= Duration.milliseconds(100) * (index - 1), "\(arrivals)")
          }
          #expect(arrivals.count > 10)
        }
      }
    }

    @Test(.database) func `a change is seen within a second although listeners lose their connections`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 100)
        let reader = try await servers[1].watch(product)
        try await withPool(on: url) { database in
          for round in 1...5 {
            let listeners = "from pg_stat_activity where datname = current_database() and query like 'listen%stock%'"
            try await eventually("both servers listen") {
              try await database.integer("select count(*) \(listeners)") == 2
            }
            let ended = try await database.integer(
              "select count(*) filter (where pg_terminate_backend(pid)) \(listeners)")
            #expect(ended == 2)
            #expect(try await servers[0].api.reserve(1, of: product).status == 201)
            try await eventually("the change is seen", within: .milliseconds(1200)) {
              reader.availableStock == 100 - round
            }
          }
        }
      }
    }

    @Test(.database) func `a server without notifications sees changes by polling`() async throws {
      let url = TestDatabase.url
      let unreachable = ["LISTEN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"]
      try await withServers(2, on: url, settings: unreachable) { servers in
        let product = try await servers[0].api.createProduct(stock: 100)
        let reader = try await servers[1].watch(product)
        for round in 1...3 {
          #expect(try await servers[0].api.reserve(1, of: product).status == 201)
          try await eventually("the change is seen", within: .milliseconds(1200)) {
            reader.availableStock == 100 - round
          }
        }
      }
    }

    @Test(.database) func `the number of streams is bounded`() async throws {
      let url = TestDatabase.url
      // One client may have one of the two places. The trusted proxy's header makes each reader another client.
      let settings = ["MAX_STREAMS": "2", "TRUSTED_PROXIES": "127.0.0.0/8"]
      try await withServers(1, on: url, settings: settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        var readers = [
          try await servers[0].watch(product, as: "192.0.2.1"), try await servers[0].watch(product, as: "192.0.2.2"),
        ]
        #expect(readers.allSatisfy { $0.status == 200 })
        let refused = try await servers[0].watch(product, as: "192.0.2.3")
        #expect(refused.status == 503 && refused.headers["retry-after"] == "1", "\(refused.body)")
        #expect(refused.body.contains("/problems/overloaded"))
        readers.removeLast().close()
        try await eventually("there is room again", within: .seconds(2)) {
          try await servers[0].watch(product, as: "192.0.2.3").status == 200
        }
      }
    }

    @Test(.database) func `SIGTERM ends each stream completely`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        var readers: [EventReader] = []
        for _ in 0..<50 { readers.append(try await servers[0].watch(product)) }
        try await eventually("all have begun") { readers.allSatisfy { !$0.events.isEmpty } }
        #expect(try await servers[0].end(with: .terminate) == .exited(0), "\(servers[0].output)")
        // A stream that the server cut at the end of the shutdown time would be broken.
        try await eventually("all have ended") { readers.allSatisfy { $0.end != nil } }
        #expect(readers.allSatisfy { $0.end == .complete })
      }
    }

    @Test(.database) func `a stream without changes is not closed as idle`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["IDLE_TIMEOUT_SECONDS": "0.3"]) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        let reader = try await servers[0].watch(product)
        try await eventually("the stream has begun") { !reader.events.isEmpty }
        // The server closes idle connections that began later, so the stream has outlasted the idle timeout.
        for _ in 0..<2 {
          try await RawConnection.with(port: servers[0].port) { connection in #expect(await connection.isClosed()) }
        }
        // `APIClient` keeps connections, and would send this request on one that the server is closing.
        try await RawConnection.with(port: servers[0].port) { connection in
          let hold = #"{"product_id":\#(product),"quantity":1}"#
          let head = "POST /api/holds HTTP/1.1\r\nHost: a\r\nContent-Length: \(hold.utf8.count)\r\n\r\n"
          try await connection.send((head + hold).utf8)
          #expect(try await connection.answer().status == 201)
        }
        try await eventually("the change is seen") { reader.availableStock == 4 }
        #expect(reader.end == nil)
      }
    }
  }
}

extension ServerProcess {
  /// - Parameter client: the address in `X-Forwarded-For`.
  fileprivate func watch(_ product: Int, as client: String? = nil) async throws -> EventReader {
    try await EventReader.open(
      "\(url)/api/products/\(product)/events", headers: client.map { ["x-forwarded-for": $0] } ?? [:])
  }
}
