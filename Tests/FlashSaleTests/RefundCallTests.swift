import TestSupport
import Testing

extension FlashSaleTests {
  /// Refunds and one order, over HTTP.
  @Suite struct RefundCallTests {
    /// A paid order of two units, with an amount of 1,000.
    private struct PaidOrder {
      let product: Int
      let id: String
      var path: String { "/api/admin/orders/\(id)" }

      init(_ api: APIClient, customer: String = "ada", key: String = "pay") async throws {
        product = try await api.createProduct(stock: 5)
        let body = #"{"product_id":\#(product),"quantity":2,"customer_id":"\#(customer)"}"#
        let hold: APIClient.Hold = try await api.send("POST", "/api/holds", body).decode()
        try #require(try await api.order(hold.holdId).status == 201)
        try #require(try await api.pay(hold.orderID, key: key).status == 200)
        id = hold.orderID
      }

      func refund(_ body: String, key: String, by api: APIClient) async throws -> APIClient.Answer {
        try await api.send("POST", path + "/refunds", body, headers: ["Idempotency-Key": key])
      }
    }

    @Test(.database) func `a refund has one effect under its key on each server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let apis = servers.map(\.api)
        let order = try await PaidOrder(apis[0])
        let first = try await order.refund(#"{"amount":400,"reason":"torn"}"#, key: "a", by: apis[0])
        let again = try await order.refund(#"{"amount":400,"reason":"torn"}"#, key: "a", by: apis[1])
        #expect(first.status == 201 && first.headers["idempotent-replayed"] == nil, "\(first)")
        #expect(again.status == 201 && again.headers["idempotent-replayed"] == "true", "\(again)")
        #expect(first.headers["location"] == order.path && again.body == first.body)
        #expect(first.members["amount"] as? Int == 400 && first.members["currency"] as? String == "USD")
        #expect(first.members["order_id"] as? String == order.id && first.members["reason"] as? String == "torn")
        #expect(first.members["restock"] as? Bool == false && first.members["source"] as? String == "operator")
        for other in [#"{"amount":401,"reason":"torn"}"#, #"{"amount":400}"#, "{}"] {
          #expect(try await order.refund(other, key: "a", by: apis[1]).problem == "idempotency-key-reused")
        }
        let partly = try await apis[1].send("GET", "/api/orders/\(order.id)").members
        #expect(partly["status"] as? String == "paid" && partly["refunded_amount"] as? Int == 400)

        // Without an amount, all that is left.
        let rest = try await order.refund("{}", key: "b", by: apis[1])
        #expect(rest.status == 201 && rest.members["amount"] as? Int == 600, "\(rest)")
        let whole = try await apis[0].send("GET", "/api/orders/\(order.id)").members
        #expect(whole["status"] as? String == "refunded" && whole["refunded_amount"] as? Int == 1000)
        for body in ["{}", #"{"amount":1}"#] {
          let refused = try await order.refund(body, key: "c", by: apis[0])
          #expect(refused.status == 409 && refused.problem == "refund-too-large", "\(refused)")
          #expect(refused.members["refundable_amount"] as? Int == 0)
        }
        #expect(try await apis[0].product(order.product).availableStock == 3)

        let log = try await apis[0].send("GET", "/api/admin/audit-log").members
        let changes = try #require(log["changes"] as? [[String: Any]])
        #expect(changes.count { $0["action"] as? String == "order.refunded" } == 2)
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `a refund with restock returns the units once`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let order = try await PaidOrder(api)
        for _ in 0..<2 {
          #expect(try await order.refund(#"{"restock":true}"#, key: "a", by: api).status == 201)
          #expect(try await api.product(order.product).availableStock == 5)
        }
        #expect(try await order.refund(#"{"restock":true}"#, key: "b", by: api).problem == "refund-too-large")
        #expect(try await api.product(order.product).availableStock == 5)
        #expect(try await api.send("GET", order.path).members["restocked"] as? Bool == true)
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `a refund needs a paid order, a key and a valid body`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let order = try await PaidOrder(api)
        let missing = try await api.send("POST", order.path + "/refunds", "{}")
        #expect(missing.status == 422 && missing.problem == "validation", "\(missing)")
        let errors = try #require(missing.members["errors"] as? [[String: String]])
        #expect(errors.map { $0["pointer"] } == ["/Idempotency-Key"])
        #expect(try await order.refund("{}", key: "two words", by: api).problem == "validation")

        let bad = try await order.refund(#"{"amount":0,"restock":"yes","reason":""}"#, key: "a", by: api)
        #expect(bad.status == 422 && (bad.members["errors"] as? [Any])?.count == 3, "\(bad)")
        for body in [
          #"{"amount":1.5}"#, #"{"amount":-1}"#, #"{"amount":"1"}"#, #"{"amount":9223372036854775808}"#,
          #"{"restock":0}"#, #"{"reason":"a\u0000b"}"#, #"{"reason":"\#(String(repeating: "x", count: 256))"}"#,
        ] {
          #expect(try await order.refund(body, key: "a", by: api).problem == "validation", "\(body)")
        }
        let large = try await order.refund(#"{"amount":9223372036854775807}"#, key: "a", by: api)
        #expect(large.problem == "refund-too-large" && large.members["refundable_amount"] as? Int == 1000, "\(large)")
        #expect(try await order.refund("", key: "a", by: api).status == 400)

        // An order that was not paid, and one that does not exist.
        let hold: APIClient.Hold = try await api.reserve(1, of: order.product).decode()
        let path = "/api/admin/orders/\(hold.orderID)"
        func refused() async throws -> APIClient.Answer {
          try await api.send("POST", path + "/refunds", "{}", headers: ["Idempotency-Key": "a"])
        }
        #expect(try await refused().problem == "not-found")
        _ = try await api.order(hold.holdId)
        let unpaid = try await refused()
        #expect(unpaid.status == 409 && unpaid.problem == "order-not-paid", "\(unpaid)")
        #expect(unpaid.members["order_status"] as? String == "pending_payment")
        _ = try await api.pay(hold.orderID, key: "failed", status: "failed")
        #expect(try await refused().members["order_status"] as? String == "cancelled")
        for id in ["1", "order_1", hold.holdId, "order_00000001000080008000000000000001"] {
          #expect(try await api.send("GET", "/api/admin/orders/\(id)").problem == "not-found", "\(id)")
          let answer = try await api.send(
            "POST", "/api/admin/orders/\(id)/refunds", "{}", headers: ["Idempotency-Key": "a"])
          #expect(answer.problem == "not-found", "\(id)")
        }
        // No refusal used the key, or recorded a refund.
        #expect(try await order.refund("{}", key: "a", by: api).headers["idempotent-replayed"] == nil)
        #expect(try await api.send("GET", order.path).members["refundable_amount"] as? Int == 0)
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `concurrent refunds have one effect for each key and never exceed the amount`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let order = try await PaidOrder(servers[0].api)
        let answers = try await Self.refunds(of: order, by: servers.map(\.api))
        let recorded = answers.filter { $0.status == 201 }
        #expect(recorded.count { $0.headers["idempotent-replayed"] == nil } == 3)
        #expect(Set(recorded.compactMap { $0.members["refund_id"] as? String }).count == 3)
        #expect(answers.allSatisfy { $0.status == 201 || $0.problem == "refund-too-large" }, "\(answers)")
        let history = try await servers[1].api.send("GET", order.path).members
        #expect(history["refunded_amount"] as? Int == 900 && history["refundable_amount"] as? Int == 100)
        #expect((history["refunds"] as? [Any])?.count == 3)
        try await expectCleanAudit(url)
      }
    }

    /// Forty refunds of 300 at once, under five keys.
    private static func refunds(of order: PaidOrder, by servers: [APIClient]) async throws -> [APIClient.Answer] {
      try await withThrowingTaskGroup(of: APIClient.Answer.self) { group in
        for number in 0..<40 {
          let (key, api) = ("key-\(number % 5)", servers[number % servers.count])
          group.addTask { try await order.refund(#"{"amount":300}"#, key: key, by: api) }
        }
        var answers: [APIClient.Answer] = []
        for try await answer in group { answers.append(answer) }
        return answers
      }
    }

    @Test(.database) func `an order is shown with its payment events and refunds in the order of time`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let order = try await PaidOrder(api, customer: "ada", key: "first")
        _ = try await PaidOrder(api, customer: "bob", key: "of another order")
        _ = try await api.pay(order.id, key: "second")
        for (amount, key) in [(100, "a"), (300, "b")] {
          _ = try await order.refund(#"{"amount":\#(amount)}"#, key: key, by: api)
        }
        let key = try await createKey("reader", .read, on: url)
        let shown = try await api.send("GET", order.path, token: key)
        let members = shown.members
        #expect(shown.status == 200 && members["order_id"] as? String == order.id, "\(shown)")
        #expect(members["customer_id"] as? String == "ada" && members["status"] as? String == "paid")
        #expect(members["refunded_amount"] as? Int == 400 && members["refundable_amount"] as? Int == 600)
        let events = try #require(members["payment_events"] as? [[String: Any]])
        #expect(events.map { $0["idempotency_key"] as? String } == ["first", "second"])
        #expect(events.map { $0["verdict"] as? String } == ["applied", "refund_due"])
        let refunds = try #require(members["refunds"] as? [[String: Any]])
        #expect(refunds.map { $0["amount"] as? Int } == [100, 300])

        // Everything that a buyer sees is there, with the same values.
        let seen = try await api.send("GET", "/api/orders/\(order.id)").members
        for (name, value) in seen {
          #expect(members[name].map { "\($0)" } == "\(value)", "\(name)")
        }
        #expect(Set(members.keys).subtracting(seen.keys).count == 5)
        let refused = try await api.send(
          "POST", order.path + "/refunds", "{}", headers: ["Idempotency-Key": "c"], token: key)
        #expect(refused.problem == "insufficient-scope")
      }
    }
  }
}
