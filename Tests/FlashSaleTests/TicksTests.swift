import Postgres
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  /// The stream of the dashboard, over HTTP.
  @Suite struct TicksTests {
    private static let path = "/api/admin/ticks"

    @Test(.database) func `a stream of ticks needs the admin token`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        for headers in [[:], ["authorization": "Bearer wrong-token-of-a-stranger"]] {
          let refused = try await EventReader.open(servers[0].url + Self.path, headers: headers)
          #expect(refused.status == 401 && refused.body.contains("/problems/unauthorized"))
        }
        // Before the request, because a busy reader may get the first ticks together.
        let start = Moment.now
        let reader = try await servers[0].watchTicks()
        #expect(reader.status == 200 && reader.headers["cache-control"] == "no-store")
        #expect(reader.headers["x-accel-buffering"] == "no")
        try await eventually("the first tick", within: .seconds(1)) { !reader.ticks.isEmpty }
        try await eventually("three more", within: .seconds(4)) { reader.ticks.count >= 4 }
        #expect(Moment.now - start > .seconds(2))
        #expect(try await servers[0].api.send("HEAD", Self.path).status == 200)
        #expect(try await servers[0].api.send("POST", Self.path, "{}").status == 405)
      }
    }

    @Test(.database) func `a tick shows the whole shop, through any server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 20)
        let readers = [try await servers[0].watchTicks(), try await servers[1].watchTicks()]
        let hold = try await api.reserve(2, of: product).decode(APIClient.Hold.self)
        let unpaid = try await api.reserve(3, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(unpaid.holdId).status == 201)
        let paid = try await api.reserve(4, of: product).decode(APIClient.Hold.self)
        #expect(try await api.order(paid.holdId).status == 201)
        #expect(try await api.pay(paid.orderID, key: "pays").status == 200)
        #expect(try await api.pay(paid.orderID, key: "again").status == 200)
        #expect(hold.status == "active")
        for (server, reader) in zip(servers, readers) {
          try await eventually("the tick shows it", within: .seconds(5)) {
            guard let shown = reader.ticks.last?.shop?.products.first else { return false }
            return shown.availableStock == 11 && shown.heldStock == 2 && shown.unpaidStock == 3
              && shown.paidStock == 4
          }
          let tick = try #require(reader.ticks.last)
          let money = try #require(tick.shop?.moneyWaiting)
          #expect(money.refundDue == 1 && money.amountMismatch == 0 && money.parked == 0)
          let event = try #require(money.events.first)
          #expect(event.idempotencyKey == "again" && event.orderId == paid.orderID && event.amount == 2000)
          #expect(event.verdict == "refund_due" && event.currency == "USD")
          #expect(tick.server.name.hasSuffix(":\(server.port)") && !tick.server.name.hasPrefix(":"))
          #expect(tick.database.reachable && tick.server.openStreams == 1)
          #expect(tick.server.startedAt < tick.time)
          // Each tick has the product as any client reads it.
          let body = String(buffer: try await api.send("GET", "/api/products/\(product)").body).dropLast()
          #expect(reader.others.last?.data.contains(body + ",\"held_stock\":2,") == true)
        }
        try await eventually("each server has shown the second of the sale") {
          readers.allSatisfy { reader in
            let shops = reader.ticks.compactMap(\.shop)
            return shops.contains { $0.holdsPerSecond > 0 } && shops.contains { $0.ordersPerSecond > 0 }
              && shops.contains { $0.paymentsPerSecond > 0 }
          }
        }
        for reader in readers {
          #expect(reader.ticks.allSatisfy { $0.shop?.products.allSatisfy(\.isConserved) ?? true })
        }
      }
    }

    @Test(.database) func `a tick has the requests and the refusals of its own server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 1)
        let readers = [try await servers[0].watchTicks(), try await servers[1].watchTicks()]
        try await eventually("both have a tick") { readers.allSatisfy { !$0.ticks.isEmpty } }
        try await eventually("a tick shows the refusals") {
          let status = try await servers[0].api.reserve(5, of: product).status
          #expect(status == 409)
          return readers[0].ticks.contains { ($0.server.refusalsPerSecond["insufficient-stock"] ?? 0) > 0 }
        }
        #expect(readers[0].ticks.contains { $0.server.requestsPerSecond > 0 && $0.server.latencyMs.p50 != nil })
        #expect(readers[1].ticks.allSatisfy { $0.server.refusalsPerSecond["insufficient-stock"] == nil })
        let metrics = String(buffer: try await servers[0].api.send("GET", "/metrics").body)
        #expect(metrics.contains("flashsale_open_streams 1\n"))
      }
    }

    @Test(.database) func `a tick shows the endpoints of events, and null without one`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ServerProcess.privateEndpoints) { servers in
        let api = servers[0].api
        let reader = try await servers[0].watchTicks()
        try await eventually("the first tick") { reader.ticks.last?.shop != nil }
        #expect(reader.ticks.last?.shop?.deliveries == nil)
        // Nothing listens there.
        let (id, _) = try await api.createEndpoint()
        _ = try await api.send("POST", "\(APIClient.endpointsPath)/\(id)/test")
        try await eventually("the tick shows the failure") {
          guard let endpoint = reader.ticks.last?.shop?.deliveries?.endpoints.first else { return false }
          return endpoint.failures > 0 && endpoint.lastError?.isEmpty == false
        }
        let deliveries = try #require(reader.ticks.last?.shop?.deliveries)
        #expect(deliveries.pending == 1 && deliveries.oldestSeconds < 60 && deliveries.endpoints.count == 1)
        let endpoint = deliveries.endpoints[0]
        #expect(endpoint.id == id && endpoint.url == "http://127.0.0.1:1/hooks" && endpoint.status == "enabled")
        #expect(endpoint.pending == 1)
        #expect(try await api.send("DELETE", "\(APIClient.endpointsPath)/\(id)").status == 204)
        try await eventually("it is gone") { reader.ticks.last?.shop?.deliveries == nil }
      }
    }

    @Test(.database) func `ticks go on while the database is away, and say so`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let name = try #require(url.split(separator: "/").last)
        let product = try await servers[0].api.createProduct(stock: 5)
        let reader = try await servers[0].watchTicks()
        try await eventually("a tick shows the product") { reader.ticks.last?.shop?.products.first?.id == product }
        try await withPool(on: url.dropLast(name.count) + "postgres") { pool in
          try await pool.run("alter database \(name) allow_connections false")
          try await pool.run(
            "do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'; end $$")
          try await eventually("a tick says that it is away") { reader.ticks.last?.database.reachable == false }
          let count = reader.ticks.count
          try await eventually("ticks go on", within: .seconds(8)) { reader.ticks.count >= count + 3 }
          let away = try #require(reader.ticks.last)
          #expect(away.database.reason == "The database cannot be reached.")
          #expect(away.shop?.products.first?.id == product && away.database.since <= away.time)
          try await pool.run("alter database \(name) allow_connections true")
        }
        try await eventually("a tick says that it is back") { reader.ticks.last?.database.reachable == true }
        let back = try #require(reader.ticks.last)
        #expect(back.database.reason == nil && reader.end == nil)
        // One change in each direction.
        let states = reader.ticks.map(\.database.reachable)
        #expect(zip(states, states.dropFirst()).count { $0 != $1 } == 2, "\(states)")
        #expect(Set(reader.ticks.filter { !$0.database.reachable }.map(\.database.since)).count == 1)
      }
    }

    @Test(.database) func `SIGTERM ends a stream of ticks completely`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let readers = [try await servers[0].watchTicks(), try await servers[0].watchTicks()]
        try await eventually("both have begun") { readers.allSatisfy { !$0.ticks.isEmpty } }
        #expect(try await servers[0].end(with: .terminate) == .exited(0), "\(servers[0].output)")
        try await eventually("both have ended") { readers.allSatisfy { $0.end != nil } }
        #expect(readers.allSatisfy { $0.end == .complete })
      }
    }

    @Test(.database) func `buyers who take all streams do not shut out the operator`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["MAX_STREAMS": "1"]) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        let buyer = try await EventReader.open("\(servers[0].url)/api/products/\(product)/events")
        #expect(buyer.status == 200)
        let reader = try await servers[0].watchTicks()
        #expect(reader.status == 200)
        try await eventually("the tick counts both", within: .seconds(3)) { reader.ticks.last?.server.openStreams == 2 }
        let second = try await servers[0].watchTicks()
        #expect(second.status == 503 && second.headers["retry-after"] == "1")
      }
    }
  }
}

extension ServerProcess {
  fileprivate func watchTicks() async throws -> EventReader {
    try await EventReader.open("\(url)/api/admin/ticks", headers: ["authorization": "Bearer " + Self.adminToken])
  }
}
