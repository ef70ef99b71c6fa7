import Foundation
import TestSupport
import Testing
import Yams

extension FlashSaleTests {
  /// Requests and responses of the contract that no other suite covers.
  @Suite struct ContractTests {
    @Test(.database) func `an Idempotency-Key makes placing holds and orders safe to repeat`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        let body = #"{"product_id":\#(product),"quantity":2,"customer_id":"ada"}"#
        let key = ["idempotency-key": "a-key"]
        let first = try await servers[0].api.send("POST", "/api/holds", body, headers: key)
        let again = try await servers[1].api.send("POST", "/api/holds", body, headers: key)
        #expect(first.status == 201 && again.status == 201)
        #expect(first.headers["idempotent-replayed"] == nil)
        #expect(again.headers["idempotent-replayed"] == "true")
        #expect(again.headers["location"] == first.headers["location"])
        let hold: APIClient.Hold = try first.decode()
        #expect(try again.decode(APIClient.Hold.self).holdId == hold.holdId)
        let other = try await servers[1].api.send(
          "POST", "/api/holds", #"{"product_id":\#(product),"quantity":1,"customer_id":"ada"}"#, headers: key)
        #expect(other.status == 422 && other.problem == "idempotency-key-reused")
        for bad in ["", "two words", String(repeating: "k", count: 256)] {
          let refused = try await servers[0].api.send(
            "POST", "/api/holds", body, headers: ["idempotency-key": bad])
          #expect(refused.status == 422 && refused.problem == "validation")
        }

        let order = #"{"hold_id":"\#(hold.holdId)"}"#
        let orderKey = ["idempotency-key": "order-key"]
        let placed = try await servers[0].api.send("POST", "/api/orders", order, headers: orderKey)
        let replayed = try await servers[1].api.send("POST", "/api/orders", order, headers: orderKey)
        #expect(placed.status == 201 && replayed.status == 201)
        #expect(replayed.headers["idempotent-replayed"] == "true")
        #expect(try await servers[1].api.send("POST", "/api/orders", order).problem == "hold-already-ordered")
        #expect(try await servers[0].api.product(product).availableStock == 3)
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `the path may name the product of a hold`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let path = "/api/products/\(product)/holds"
        let key = ["idempotency-key": "a-key"]
        // The path counts, not the member.
        let placed = try await api.send("POST", path, #"{"product_id":99,"qty":2}"#, headers: key)
        #expect(placed.status == 201 && placed.headers["location"]?.hasPrefix("/api/holds/hold_") == true, "\(placed)")
        #expect(placed.members["product_id"] as? Int == product && placed.members["quantity"] as? Int == 2)
        let again = try await api.send(
          "POST", "/api/holds", #"{"product_id":\#(product),"quantity":2}"#, headers: key)
        #expect(again.headers["idempotent-replayed"] == "true")
        #expect(again.headers["location"] == placed.headers["location"])
        #expect(try await api.send("POST", path, #"{"quantity":9}"#).problem == "insufficient-stock")
        #expect(try await api.send("POST", path, "{}").problem == "validation")
        for other in ["99", "0", "x", "+1"] {
          #expect(try await api.send("POST", "/api/products/\(other)/holds", #"{"quantity":1}"#).problem == "not-found")
        }
        #expect(try await api.send("GET", path).headers["allow"] == "POST")
        #expect(try await api.product(product).availableStock == 3)
      }
    }

    @Test(.database) func `each response has exactly the members of its schema`() async throws {
      let url = TestDatabase.url
      // The deliveries of events stay as they are.
      let settings = ServerProcess.privateEndpoints.merging(["EVENT_WEBHOOKS": "false"]) { $1 }
      try await withServers(1, on: url, settings: settings) { servers in
        let api = servers[0].api
        let schemas = try await Self.schemas(api)
        func check(_ schema: String, _ answer: APIClient.Answer, _ status: UInt) throws {
          try check(schema, answer.members, "\(answer)")
          #expect(answer.status == status, "\(answer)")
        }
        func check(_ schema: String, _ members: [String: Any], _ description: String) throws {
          let described = try #require(schemas[schema])
          let properties = try #require(described["properties"] as? [String: Any])
          #expect(members.keys.sorted() == properties.keys.sorted(), "\(schema): \(description)")
          #expect(Set(members.keys).isSuperset(of: described["required"] as? [String] ?? []))
        }
        let window = #""starts_at":"2020-01-01T00:00:00Z","ends_at":"2100-01-01T00:00:00+01:00""#
        let created = try await api.send(
          "POST", "/api/admin/products",
          #"{"name":"Cap","price":500,"currency":"USD","total_stock":3,"max_per_customer":2,\#(window)}"#)
        try check("Product", created, 201)
        let id = try created.decode(APIClient.Product.self).id
        #expect(created.members["ends_at"] as? String == "2099-12-31T23:00:00.000Z")
        #expect(created.members["status"] as? String == "on_sale")
        let listed = try await api.send("GET", "/api/products").members["products"] as? [[String: Any]]
        try check("Product", try #require(listed?.first), "list")

        func reserve(_ quantity: Int, _ customer: String?) async throws -> APIClient.Answer {
          let customer = customer.map { #","customer_id":"\#($0)""# } ?? ""
          return try await api.send(
            "POST", "/api/holds", #"{"product_id":\#(id),"quantity":\#(quantity)\#(customer)}"#)
        }
        let held = try await reserve(2, "ada")
        try check("Hold", held, 201)
        try check("CustomerLimitReachedProblem", try await reserve(1, "ada"), 409)
        try check("ValidationProblem", try await reserve(1, nil), 422)
        let short = try await reserve(2, "bob")
        try check("InsufficientStockProblem", short, 409)
        #expect(short.members["available_stock"] as? Int == 1 && short.members["held_stock"] as? Int == 2)
        #expect(short.members["next_release_at"] as? String == held.members["expires_at"] as? String)
        #expect((1...120).contains(Int(short.headers["retry-after"] ?? "") ?? 0))

        let hold: APIClient.Hold = try held.decode()
        let order = try await api.order(hold.holdId)
        try check("Order", order, 201)
        try check("HoldAlreadyOrderedProblem", try await api.order(hold.holdId), 409)
        try check("HoldAlreadyOrderedProblem", try await api.release(hold.holdId), 409)
        try check("PaymentResult", try await api.pay(hold.orderID, key: "pay"), 200)
        try check("PaymentResult", try await api.pay(hold.orderID, key: "again/ünd"), 200)

        func refund(_ body: String) async throws -> APIClient.Answer {
          try await api.send(
            "POST", "/api/admin/orders/\(hold.orderID)/refunds", body, headers: ["idempotency-key": body])
        }
        try check("Refund", try await refund(#"{"amount":1}"#), 201)
        try check("RefundTooLargeProblem", try await refund(#"{"amount":1000}"#), 409)
        let history = try await api.send("GET", "/api/admin/orders/\(hold.orderID)")
        try check("OrderHistory", history, 200)
        for (list, schema) in [("payment_events", "PaymentEvent"), ("refunds", "Refund")] {
          let elements = try #require(history.members[list] as? [[String: Any]])
          try check(schema, try #require(elements.first), list)
        }
        let unpaidHold: APIClient.Hold = try await reserve(1, "bob").decode()
        _ = try await api.order(unpaidHold.holdId)
        let unpaid = try await api.send(
          "POST", "/api/admin/orders/\(unpaidHold.orderID)/refunds", "{}", headers: ["idempotency-key": "a"])
        try check("OrderNotPaidProblem", unpaid, 409)
        _ = try await api.pay(unpaidHold.orderID, key: "failed", status: "failed")

        let changed = try await api.send(
          "PATCH", "/api/admin/products/\(id)", #"{"starts_at":"2099-01-01T00:00:00Z","max_per_customer":null}"#)
        try check("Product", changed, 200)
        #expect(changed.members["status"] as? String == "upcoming")
        let early = try await reserve(1, nil)
        try check("SaleNotStartedProblem", early, 409)
        #expect((Int(early.headers["retry-after"] ?? "") ?? 0) > 1_000_000)
        _ = try await api.send(
          "PATCH", "/api/admin/products/\(id)", #"{"starts_at":null,"ends_at":"2020-01-01T00:00:00Z"}"#)
        try check("SaleEndedProblem", try await reserve(1, nil), 409)
        let backwards = try await api.send(
          "PATCH", "/api/admin/products/\(id)", #"{"starts_at":"2020-01-01T00:00:00Z"}"#)
        try check("ValidationProblem", backwards, 422)

        try check("Product", try await api.send("POST", "/api/admin/products/\(id)/stock", #"{"delta":-1}"#), 200)
        try check(
          "InsufficientStockProblem", try await api.send("POST", "/api/admin/products/\(id)/stock", #"{"delta":-1}"#),
          409)
        for delta in ["0", "2147483647", "2147483648", "-2147483648", "1.5", "null"] {
          let refused = try await api.send("POST", "/api/admin/products/\(id)/stock", #"{"delta":\#(delta)}"#)
          try check("ValidationProblem", refused, 422)
        }

        let page = try await api.send("GET", "/api/admin/payment-events?verdict=refund_due")
        try check("PaymentEventPage", page, 200)
        let events = try #require(page.members["payment_events"] as? [[String: Any]])
        #expect(events.count == 1)
        try check("PaymentEvent", events[0], "event")
        let path = "/api/admin/payment-events/again%2F%C3%BCnd/settle"
        let settled = try await api.send("POST", path)
        try check("PaymentEvent", settled, 200)
        #expect(settled.members["settled_at"] is String)
        #expect(
          try await api.send("POST", path).members["settled_at"] as? String == settled.members["settled_at"]
            as? String)
        #expect(try await api.send("POST", "/api/admin/payment-events/pay/settle").problem == "refund-not-due")
        #expect(try await api.send("POST", "/api/admin/payment-events/none/settle").problem == "not-found")

        let orders = try await api.send("GET", "/api/admin/orders")
        try check("OrderPage", orders, 200)
        try check("ListedOrder", try #require((orders.members["orders"] as? [[String: Any]])?.first), "order")
        let holds = try await api.send("GET", "/api/admin/holds")
        try check("HoldPage", holds, 200)
        try check("ListedHold", try #require((holds.members["holds"] as? [[String: Any]])?.first), "hold")
        let unknown = try await api.send("GET", "/api/admin/orders", headers: ["accept": "text/html"])
        try check("NotAcceptableProblem", unknown, 406)

        let log = try await api.send("GET", "/api/admin/audit-log")
        try check("AdminChangePage", log, 200)
        let changes = try #require(log.members["changes"] as? [[String: Any]])
        try check("AdminChange", changes[0], "change")
        try check("AdminSession", try await api.send("GET", "/api/admin/session"), 200)
        let key = try await createKey("reader", .read, on: url)
        let refused = try await api.send("PATCH", "/api/admin/products/\(id)", "{}", token: key)
        try check("InsufficientScopeProblem", refused, 403)
        let signIn = try await api.send("POST", "/api/admin/session", "{}", token: nil)
        try check("ForbiddenOriginProblem", signIn, 403)

        try check("EventFeed", try await api.send("PUT", "/api/admin/event-feed", #"{"events":["*"]}"#), 200)
        try check("EventFeed", try await api.send("GET", "/api/admin/event-feed"), 200)
        let endpointBody = #"{"url":"http://127.0.0.1:1/","events":["*"]}"#
        let endpoint = try await api.send("POST", APIClient.endpointsPath, endpointBody)
        try check("NewWebhookEndpoint", endpoint, 201)
        let endpointPath = "\(APIClient.endpointsPath)/\(try #require(endpoint.members["id"] as? String))"
        try check("WebhookEndpointList", try await api.send("GET", APIClient.endpointsPath), 200)
        try check("WebhookEndpoint", try await api.send("GET", endpointPath), 200)
        try check("WebhookEndpoint", try await api.send("PATCH", endpointPath, "{}"), 200)
        try check("NewWebhookEndpoint", try await api.send("POST", endpointPath + "/rotate-secret"), 200)
        let sent = try await api.send("POST", endpointPath + "/test")
        try check("EventReceipt", sent, 202)
        let since = #"{"since":"2026-01-01T00:00:00Z"}"#
        try check("Recovery", try await api.send("POST", endpointPath + "/recover", since), 202)
        let eventPath = "/api/admin/events/\(try #require(sent.members["event_id"] as? String))"
        try check("Redelivery", try await api.send("POST", eventPath + "/redeliver"), 202)
        let deliveries = try await api.send("GET", "/api/admin/deliveries")
        try check("DeliveryPage", deliveries, 200)
        let delivery = try #require((deliveries.members["deliveries"] as? [[String: Any]])?.first)
        try check("EventDelivery", delivery, "delivery")
        _ = try await api.send("POST", "/api/admin/products/\(id)/stock", #"{"delta":1}"#)
        try await eventually("the restock is in the feed") {
          try await !api.list("/api/admin/events", "events").isEmpty
        }
        let feed = try await api.send("GET", "/api/admin/events")
        try check("EventPage", feed, 200)
        try check("Event", try #require((feed.members["events"] as? [[String: Any]])?.first), "event of the feed")
        #expect(try await api.send("DELETE", endpointPath).status == 204)

        try check("Audit", try await api.invariants(), 200)
        try check("Health", try await api.send("GET", "/health/ready"), 200)
        try check("Health", try await api.send("GET", "/health/live"), 200)
      }
    }

    @Test(.database) func `metadata is shown wherever its hold or order is`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        func expectMetadata(_ expected: [String: String], _ answer: APIClient.Answer) {
          #expect(answer.members["metadata"] as? [String: String] == expected, "\(answer)")
        }
        let body = #"{"quantity":1,"metadata":{"size":"L","cart":"é\n"}}"#
        let key = ["idempotency-key": "a-key"]
        let held = try await api.send("POST", "/api/products/\(product)/holds", body, headers: key)
        #expect(String(buffer: held.body).hasSuffix(#""metadata":{"cart": "é\n", "size": "L"}}"#), "\(held)")
        let hold: APIClient.Hold = try held.decode()
        let again = try await servers[1].api.send("POST", "/api/products/\(product)/holds", body, headers: key)
        #expect(again.headers["idempotent-replayed"] == "true")
        expectMetadata(["size": "L", "cart": "é\n"], again)
        let other = try await servers[1].api.send(
          "POST", "/api/products/\(product)/holds", #"{"quantity":1}"#, headers: key)
        #expect(other.status == 422 && other.problem == "idempotency-key-reused")
        expectMetadata(["size": "L", "cart": "é\n"], try await servers[1].api.send("GET", "/api/holds/\(hold.holdId)"))

        let merged = ["size": "M", "cart": "é\n", "gift": "yes"]
        expectMetadata(
          merged,
          try await api.send(
            "POST", "/api/orders", #"{"hold_id":"\#(hold.holdId)","metadata":{"size":"M","gift":"yes"}}"#))
        expectMetadata(merged, try await servers[1].api.send("GET", "/api/orders/\(hold.orderID)"))

        let plain = try await api.reserve(1, of: product)
        expectMetadata([:], plain)
        expectMetadata([:], try await api.release(plain.decode(APIClient.Hold.self).holdId))
        let refused = try await api.send(
          "POST", "/api/holds", #"{"product_id":\#(product),"quantity":0,"metadata":{"a/b":1}}"#)
        let errors = try #require(refused.members["errors"] as? [[String: String]])
        #expect(refused.status == 422 && errors.map { $0["pointer"] } == ["/quantity", "/metadata/a~1b"], "\(refused)")
        try await expectCleanAudit(url)
      }
    }

    private static func schemas(_ api: APIClient) async throws -> [String: [String: Any]] {
      let answer = try await api.send("GET", "/openapi.yaml")
      #expect(answer.headers["content-type"] == "application/yaml")
      let document = try Yams.load(yaml: String(buffer: answer.body)) as? [String: Any]
      let components = try #require(document?["components"] as? [String: Any])
      return try #require(components["schemas"] as? [String: [String: Any]])
    }

    @Test(.database) func `payment events are listed in pages, newest first`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 1)
        let hold: APIClient.Hold = try await api.reserve(1, of: product).decode()
        for number in 0..<205 { _ = try await api.pay(hold.orderID, key: "key-\(number)") }
        var keys: [String] = []
        var sizes: [Int] = []
        var cursor: String?
        repeat {
          let query = cursor.map { "&cursor=\($0)" } ?? ""
          let page = try await api.send("GET", "/api/admin/payment-events?verdict=parked\(query)").members
          let events = try #require(page["payment_events"] as? [[String: Any]])
          keys += events.compactMap { $0["idempotency_key"] as? String }
          sizes.append(events.count)
          cursor = page["next_cursor"] as? String
        } while cursor != nil
        #expect(sizes == [100, 100, 5])
        #expect(keys == (0..<205).reversed().map { "key-\($0)" })
        let bad = try await api.send("GET", "/api/admin/payment-events?verdict=good&cursor=~")
        #expect(bad.problem == "validation")
        #expect((bad.members["errors"] as? [Any])?.count == 2)
      }
    }

    /// `FLASHSALE_CUSTOMERS` sets the number of customers. Each sends 50 requests at once, to both servers.
    @Test func `each customer gets exactly the limit per customer`() async throws {
      let customers = ProcessInfo.processInfo.environment["FLASHSALE_CUSTOMERS"].flatMap { Int($0) } ?? 40
      try await TestDatabases.withDatabase { url in
        try await withServers(2, on: url) { servers in
          let created = try await servers[0].api.send(
            "POST", "/api/admin/products",
            #"{"name":"Cap","price":500,"currency":"USD","total_stock":1000000,"max_per_customer":3}"#)
          let product = try created.decode(APIClient.Product.self).id
          try await withThrowingDiscardingTaskGroup { group in
            for request in 0..<(customers * 50) {
              group.addTask {
                let body = #"{"product_id":\#(product),"quantity":1,"customer_id":"customer \#(request % customers)"}"#
                let answer = try await servers[request % 2].api.send("POST", "/api/holds", body)
                #expect(answer.status == 201 || answer.problem == "customer-limit-reached", "\(answer)")
              }
            }
          }
          try await withPool(on: url) { pool in
            let wrong = try await pool.integer(
              """
              select count(*) from (select customer_id from holds group by 1 having sum(quantity) <> 3) wrong
              """)
            #expect(wrong == 0)
            #expect(try await pool.integer("select count(distinct customer_id) from holds") == Int64(customers))
          }
          try await expectCleanAudit(url)
        }
      }
    }

    /// Many clients send each key at once, to two servers. One server is killed and started again meanwhile.
    /// `FLASHSALE_KEYS` and `FLASHSALE_CALLS_PER_KEY` set the numbers.
    @Test func `a key has one effect although a server crashes`() async throws {
      let environment = ProcessInfo.processInfo.environment
      let keys = environment["FLASHSALE_KEYS"].flatMap { Int($0) } ?? 60
      let callsPerKey = environment["FLASHSALE_CALLS_PER_KEY"].flatMap { Int($0) } ?? 20
      try await withDurableDatabase { url in
        try await withServers(2, on: url) { servers in
          let product = try await servers[1].api.createProduct(stock: keys * 2)
          let body = #"{"product_id":\#(product),"quantity":1}"#
          let isTimeToKill = Event()
          let isBack = Event()
          let answers = try await withThrowingTaskGroup(of: [(Int, String)].self) { group in
            group.addTask {
              await isTimeToKill.wait()
              defer { isBack.signal() }
              try await servers[0].end(with: .kill)
              try await servers[0].start()
              return []
            }
            for caller in 0..<callsPerKey {
              group.addTask {
                // Signal also if this caller fails. Otherwise the task that restarts the server would wait forever.
                defer { isTimeToKill.signal() }
                var answers: [(Int, String)] = []
                for key in 0..<keys {
                  if key == keys / 2 { isTimeToKill.signal() }
                  let server = servers[caller % 2]
                  var answer: APIClient.Answer?
                  while answer == nil || answer?.problem == "overloaded" {
                    do {
                      answer = try await server.api.send(
                        "POST", "/api/holds", body, headers: ["idempotency-key": "key-\(key)"])
                    } catch {
                      // The response is lost. The same key returns it again.
                      guard caller % 2 == 0, !Task.isCancelled else { throw error }
                      await isBack.wait()
                    }
                  }
                  try #require(answer!.status == 201, "\(answer!)")
                  answers.append((key, try answer!.decode(APIClient.Hold.self).holdId))
                }
                return answers
              }
            }
            return try await group.reduce(into: []) { $0 += $1 }
          }
          let holds = Dictionary(grouping: answers, by: \.0).mapValues { Set($0.map(\.1)) }
          #expect(holds.count == keys)
          #expect(holds.values.allSatisfy { $0.count == 1 })
          #expect(try await servers[1].api.product(product).availableStock == keys)
          try await expectCleanAudit(url)
        }
      }
    }
  }
}
