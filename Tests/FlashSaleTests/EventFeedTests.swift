import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// The feed of events, and what the API says of their deliveries.
  @Suite struct EventFeedTests {
    private static func turnOn(_ events: String, _ api: APIClient) async throws {
      let answer = try await api.send("PUT", "/api/admin/event-feed", #"{"events":["\#(events)"]}"#)
      try #require(answer.status == 200 && answer.members["events"] as? [String] == [events], "\(answer)")
    }

    @Test(.database) func `a poller gets each event once, from any server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        try await Self.turnOn("*", servers[0].api)
        let product = try await servers[0].api.createProduct(stock: 1000)
        let buying = Task {
          try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<120 { group.addTask { try await servers[number % 2].api.buy(product) } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
          }
        }
        // It polls while the events are written, each page from another server.
        var seen: [[String: Any]] = []
        var cursor: String?
        var polls = 0
        try await eventually("all events are there", within: .seconds(30)) {
          polls += 1
          let query = cursor.map { "?cursor=\($0)" } ?? ""
          let page = try await servers[polls % 2].api.send("GET", "/api/admin/events" + query)
          #expect(page.status == 200, "\(page)")
          let events = try #require(page.members["events"] as? [[String: Any]])
          #expect(events.count <= 100)
          seen += events
          cursor = try #require(page.members["next_cursor"] as? String)
          return seen.count >= 240
        }
        let orders = try await buying.value
        let last = try await servers[0].api.list("/api/admin/events?cursor=\(cursor!)", "events")
        #expect(last.isEmpty && seen.count == 240)
        #expect(Set(seen.compactMap { $0["id"] as? String }).count == 240)
        for order in orders {
          let told = seen.filter { ($0["data"] as? [String: Any])?["order_id"] as? String == order }.map { event in
            "\(event["type"] ?? "") \((event["data"] as? [String: Any])?["version"] ?? "")"
          }
          #expect(told.sorted() == ["order.paid 2", "order.placed 1"], "\(told)")
        }
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `the feed is narrowed by type and product`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        try await Self.turnOn("order.*", api)
        let products = [try await api.createProduct(stock: 9), try await api.createProduct(stock: 9)]
        for product in products { _ = try await api.buy(product) }
        func types(_ query: String) async throws -> [String] {
          try await api.list("/api/admin/events?\(query)", "events").compactMap { $0["type"] as? String }
        }
        try await eventually("the events are there") { try await types("").count == 4 }
        #expect(try await types("type=order.paid") == ["order.paid", "order.paid"])
        #expect(try await types("product_id=\(products[1])") == ["order.placed", "order.paid"])
        #expect(try await types("product_id=\(products[1])&type=order.paid") == ["order.paid"])
        #expect(try await types("type=hold.placed").isEmpty)
        let bad = try await api.send("GET", "/api/admin/events?type=order.lost&product_id=0&cursor=~")
        #expect(bad.problem == "validation" && (bad.members["errors"] as? [Any])?.count == 3, "\(bad)")
      }
    }

    @Test(.database) func `an event about a payment has the members that the API shows, and a version`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        try await Self.turnOn("refund.due", api)
        let order = try await api.buy(try await api.createProduct(stock: 9))
        #expect(try await api.pay(order, key: "again").members["verdict"] as? String == "refund_due")
        try await eventually("the event is there") { try await api.list("/api/admin/events", "events").count == 1 }
        let event = try #require(try await api.list("/api/admin/events", "events").first)
        var data = try #require(event["data"] as? [String: Any])
        #expect(data.removeValue(forKey: "version") as? Int == 1)
        let payments = try await api.list("/api/admin/payment-events?verdict=refund_due", "payment_events")
        #expect(NSDictionary(dictionary: data) == NSDictionary(dictionary: try #require(payments.first)))
      }
    }

    @Test(.database) func `a feed that is off says so, and records nothing`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 9)
        #expect(try await api.send("GET", "/api/admin/event-feed").members["events"] as? [String] == [])
        #expect(try await api.send("GET", "/api/admin/events").problem == "event-feed-off")
        _ = try await api.buy(product)
        try await Self.turnOn("order.*", api)
        let empty = try await api.send("GET", "/api/admin/events")
        #expect(empty.status == 200 && (empty.members["events"] as? [Any])?.isEmpty == true, "\(empty)")
        // A poller goes on from the cursor of an empty page.
        let cursor = try #require(empty.members["next_cursor"] as? String)
        let order = try await api.buy(product)
        try await eventually("the events are there") {
          try await api.list("/api/admin/events?cursor=\(cursor)", "events").count == 2
        }
        let events = try await api.list("/api/admin/events?cursor=\(cursor)", "events")
        #expect(events.allSatisfy { ($0["data"] as? [String: Any])?["order_id"] as? String == order }, "\(events)")
        let off = try await api.send("PUT", "/api/admin/event-feed", #"{"events":[]}"#)
        #expect(off.status == 200 && off.members["events"] as? [String] == [])
        #expect(try await api.send("GET", "/api/admin/events?cursor=\(cursor)").problem == "event-feed-off")
        for body in ["{}", #"{"events":["order"]}"#, #"{"events":null}"#] {
          #expect(try await api.send("PUT", "/api/admin/event-feed", body).problem == "validation", "\(body)")
        }
        let explanation = String(buffer: try await api.send("GET", "/problems/event-feed-off").body)
        #expect(explanation.contains("PUT /api/admin/event-feed"), "\(explanation)")
      }
    }

    @Test(.database) func `deliveries are listed in pages, newest first, and narrowed`() async throws {
      let url = TestDatabase.url
      // No server sends events, so all stay pending.
      let settings = ServerProcess.privateEndpoints.merging(["EVENT_WEBHOOKS": "false"]) { $1 }
      try await withServers(1, on: url, settings: settings) { servers in
        let api = servers[0].api
        let (id, _) = try await api.createEndpoint()
        let (other, _) = try await api.createEndpoint()
        var events: [String] = []
        for _ in 0..<105 {
          let answer = try await api.send("POST", "\(APIClient.endpointsPath)/\(id)/test")
          #expect(answer.status == 202, "\(answer)")
          events.append(try #require(answer.members["event_id"] as? String))
        }
        #expect(events.allSatisfy { $0.wholeMatch(of: /evt_[0-9a-f]{32}/) != nil } && Set(events).count == 105)
        _ = try await api.send("POST", "\(APIClient.endpointsPath)/\(other)/test")
        var listed: [String] = []
        var sizes: [Int] = []
        var cursor: String?
        repeat {
          let query = cursor.map { "&cursor=\($0)" } ?? ""
          let page = try await api.send("GET", "/api/admin/deliveries?endpoint_id=\(id)\(query)").members
          let deliveries = try #require(page["deliveries"] as? [[String: Any]])
          #expect(
            deliveries.allSatisfy { $0["status"] as? String == "pending" && $0["type"] as? String == "endpoint.test" })
          listed += deliveries.compactMap { $0["event_id"] as? String }
          sizes.append(deliveries.count)
          cursor = page["next_cursor"] as? String
        } while cursor != nil
        #expect(sizes == [100, 5] && listed == events.reversed())
        func count(_ query: String) async throws -> Int {
          try await api.list("/api/admin/deliveries?\(query)", "deliveries").count
        }
        #expect(try await count("event_id=\(events[7])") == 1)
        #expect(try await count("endpoint_id=\(other)&status=pending") == 1)
        #expect(try await count("status=failed") == 0)
        #expect(try await count("status=delivered") == 0)
        let bad = try await api.send("GET", "/api/admin/deliveries?endpoint_id=1&status=lost&event_id=1&cursor=1")
        #expect(bad.problem == "validation" && (bad.members["errors"] as? [Any])?.count == 4, "\(bad)")
        // A test event is not in the feed.
        try await Self.turnOn("*", api)
        #expect(try await api.list("/api/admin/events", "events").isEmpty)
        #expect(try await api.send("DELETE", "\(APIClient.endpointsPath)/\(id)").status == 204)
        #expect(try await count("") == 1)
      }
    }

    @Test(.database) func `what failed is sent again on request`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ServerProcess.privateEndpoints) { servers in
        let api = servers[0].api
        let (id, _) = try await api.createEndpoint()
        let path = "\(APIClient.endpointsPath)/\(id)"
        _ = try await api.buy(api.createProduct(stock: 9))
        func deliveries(_ query: String = "") async throws -> [[String: Any]] {
          try await api.list("/api/admin/deliveries?\(query)", "deliveries")
        }
        try await eventually("both deliveries have failed once") {
          try await deliveries().count { ($0["error"] as? String)?.isEmpty == false } == 2
        }
        let shown = try await api.send("GET", path).members
        #expect(shown["failures"] as? Int ?? 0 >= 2 && shown["failing_since"] is String, "\(shown)")
        // As after the last attempt.
        try await withPool(on: url) { try await $0.run("update deliveries set status = 'failed', lease_id = null") }
        let failed = try await deliveries("status=failed")
        #expect(failed.count == 2 && failed.allSatisfy { $0["next_attempt_at"] is NSNull }, "\(failed)")

        let event = try #require(failed[0]["event_id"] as? String)
        let again = try await api.send("POST", "/api/admin/events/\(event)/redeliver")
        #expect(again.status == 202 && again.members["deliveries"] as? Int == 1, "\(again)")
        try await eventually("it is tried again") {
          try await deliveries("event_id=\(event)").first?["status"] as? String == "pending"
        }
        let future = try await api.send("POST", path + "/recover", #"{"since":"2999-01-01T00:00:00Z"}"#)
        #expect(future.status == 202 && future.members["pending"] as? Int == 1, "\(future)")
        #expect(try await deliveries("status=failed").count == 1)
        let recovered = try await api.send("POST", path + "/recover", #"{"since":"2026-01-01T00:00:00Z"}"#)
        #expect(recovered.status == 202 && recovered.members["pending"] as? Int == 2, "\(recovered)")
        #expect(recovered.members["complete"] as? Bool == true)
        #expect(try await deliveries("status=failed").isEmpty)

        // Recovering enables an endpoint.
        _ = try await api.send("PATCH", path, #"{"status":"disabled"}"#)
        _ = try await api.send("POST", path + "/recover", #"{"since":"2026-01-01T00:00:00Z"}"#)
        #expect(try await api.send("GET", path).members["status"] as? String == "enabled")
        try await expectCleanAudit(url)
      }
    }
  }
}
