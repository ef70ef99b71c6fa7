import TestSupport
import Testing

extension FlashSaleTests {
  /// The admin API over HTTP.
  @Suite struct AdminCallTests {
    @Test(.database) func `an Idempotency-Key makes creating and restocking safe to repeat`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let key = ["Idempotency-Key": "k-1"]
        let body = #"{"name":"Cap","price":500,"currency":"USD","total_stock":3}"#
        let created = try await servers[0].api.send("POST", "/api/admin/products", body, headers: key)
        let again = try await servers[1].api.send("POST", "/api/admin/products", body, headers: key)
        #expect(created.status == 201 && created.headers["idempotent-replayed"] == nil)
        #expect(again.status == 201 && again.headers["idempotent-replayed"] == "true")
        #expect(again.headers["location"] == created.headers["location"])
        let other = body.replacing("500", with: "501")
        #expect(
          try await servers[0].api.send("POST", "/api/admin/products", other, headers: key).problem
            == "idempotency-key-reused")

        let stock = "/api/admin/products/\(try created.decode(APIClient.Product.self).id)/stock"
        let added = try await servers[0].api.send("POST", stock, #"{"delta":4}"#, headers: key)
        let twice = try await servers[1].api.send("POST", stock, #"{"delta":4}"#, headers: key)
        #expect(added.status == 200 && added.headers["idempotent-replayed"] == nil)
        #expect(twice.status == 200 && twice.headers["idempotent-replayed"] == "true")
        #expect(twice.members["total_stock"] as? Int == 7)
        let reused = try await servers[1].api.send("POST", stock, #"{"delta":5}"#, headers: key)
        #expect(reused.status == 422 && reused.problem == "idempotency-key-reused")
        let bad = try await servers[1].api.send("POST", stock, #"{"delta":5}"#, headers: ["Idempotency-Key": "a b"])
        #expect(bad.status == 422 && bad.problem == "validation")
        try await expectCleanAudit(url)
      }
    }

    @Test(.database) func `payment events of one order can be listed`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        var orders: [String] = []
        for number in 0..<2 {
          let hold: APIClient.Hold = try await api.reserve(1, of: product).decode()
          for key in ["a", "b"] { _ = try await api.pay(hold.orderID, key: "\(number)\(key)") }
          orders.append(hold.orderID)
        }
        func keys(_ query: String) async throws -> [String] {
          let page = try await api.send("GET", "/api/admin/payment-events?\(query)").members
          return try #require(page["payment_events"] as? [[String: Any]]).compactMap {
            $0["idempotency_key"] as? String
          }
        }
        #expect(try await keys("order_id=\(orders[1])") == ["1b", "1a"])
        #expect(try await keys("order_id=\(orders[0])&verdict=parked") == ["0b", "0a"])
        #expect(try await keys("order_id=\(orders[0])&verdict=applied").isEmpty)
        let bad = try await api.send("GET", "/api/admin/payment-events?order_id=order_1")
        #expect(bad.status == 422 && bad.problem == "validation")
      }
    }

    @Test(.database) func `a parked success can be settled`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let hold: APIClient.Hold = try await api.reserve(1, of: api.createProduct(stock: 5)).decode()
        #expect(try await api.pay(hold.orderID, key: "k").status == 202)
        let settled = try await api.send("POST", "/api/admin/payment-events/k/settle")
        #expect(settled.status == 200 && settled.members["verdict"] as? String == "refund_due")
        #expect(settled.members["settled_at"] is String)
        let replay = try await api.pay(hold.orderID, key: "k")
        #expect(replay.status == 200 && replay.headers["idempotent-replayed"] == "true")
        let payment: APIClient.Payment = try replay.decode()
        #expect(payment.verdict == "refund_due" && payment.orderStatus == nil)
      }
    }
  }
}
