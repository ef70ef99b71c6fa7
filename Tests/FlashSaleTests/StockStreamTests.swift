import Foundation
import Postgres
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  @Suite struct StockStreamTests {
    @Test func streamBeginsWithTheProductAsAGetShowsIt() async throws {
      try await TestDatabases.withDatabase { url in
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
    }

    @Test func everyKindOfChangeIsSeenAtTheOtherServer() async throws {
      try await TestDatabases.withDatabase { url in
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

          // A hold and an order that run out.
          let lapsing = try await api.reserve(3, of: product).decode(APIClient.Hold.self)
          try await expectStock(5)
          let unpaid = try await api.reserve(4, of: product).decode(APIClient.Hold.self)
          #expect(try await api.order(unpaid.holdId).status == 201)
          try await expectStock(1)
          try await expectStock(5, within: .milliseconds(1500 + 700))
          try await expectStock(8, within: .milliseconds(3000 + 700))
          #expect(now() - (try lapsing.expiry()) < 1_000_000)
        }
      }
    }

    @Test func burstIsToldInAtMostTenEventsASecondAndTheLastIsFinal() async throws {
      try await TestDatabases.withDatabase { url in
        try await withServers(2, on: url) { servers in
          let product = try await servers[0].api.createProduct(stock: 1_000_000)
          var readers: [EventReader] = []
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
          let delay = try await eventually("everybody sees the final stock", within: .seconds(1)) {
            readers.allSatisfy { $0.availableStock == final }
          }
          print("final stock seen by all \(readers.count) after \(delay)")
          for reader in readers {
            let arrivals = reader.events.map { start.duration(to: $0.arrival) }
            // Eleven in a row, of which the last comes within a second of the first, would be too many. A tenth of that
            // is for a reader that was late to read the first.
            for (first, eleventh) in zip(arrivals, arrivals.dropFirst(10)) {
              #expect(eleventh - first > .milliseconds(900), "\(arrivals)")
            }
            #expect(arrivals.count > 10)
          }
        }
      }
    }

    @Test func lostListenersDelayTheFinalStockByASecondAtMost() async throws {
      try await TestDatabases.withDatabase { url in
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
    }

    @Test func serverThatHearsNothingSeesTheFinalStockByItsPoll() async throws {
      try await TestDatabases.withDatabase { url in
        let deaf = ["LISTEN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"]
        try await withServers(2, on: url, settings: deaf) { servers in
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
    }

    @Test func streamsAreBounded() async throws {
      try await TestDatabases.withDatabase { url in
        // Through a proxy that is trusted, since one client has one of two places.
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
    }

    @Test func terminationEndsStreamsAtOnce() async throws {
      try await TestDatabases.withDatabase { url in
        try await withServers(1, on: url) { servers in
          let product = try await servers[0].api.createProduct(stock: 5)
          var readers: [EventReader] = []
          for _ in 0..<50 { readers.append(try await servers[0].watch(product)) }
          try await eventually("all have begun") { readers.allSatisfy { !$0.events.isEmpty } }
          #expect(try await servers[0].end(with: .terminate) == .exited(0), "\(servers[0].output)")
          // Streams that had to be cut, when the time for shutting down was over, would end without their end.
          try await eventually("all have ended") { readers.allSatisfy { $0.end != nil } }
          #expect(readers.allSatisfy { $0.end == .complete })
        }
      }
    }

    /// A stream outlasts the time after which a silent connection is closed.
    @Test func quietStreamIsNotIdle() async throws {
      try await TestDatabases.withDatabase { url in
        try await withServers(1, on: url, settings: ["IDLE_TIMEOUT_SECONDS": "0.3"]) { servers in
          let product = try await servers[0].api.createProduct(stock: 5)
          let reader = try await servers[0].watch(product)
          try await Task.sleep(for: .seconds(1))
          _ = try await servers[0].api.reserve(1, of: product)
          try await eventually("the change is seen") { reader.availableStock == 4 }
          #expect(reader.end == nil)
        }
      }
    }
  }
}

extension ServerProcess {
  /// - Parameter client: the address that a proxy tells.
  fileprivate func watch(_ product: Int, as client: String? = nil) async throws -> EventReader {
    try await EventReader.open(
      "\(url)/api/products/\(product)/events", headers: client.map { ["x-forwarded-for": $0] } ?? [:])
  }
}
