import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// A tenth of a request a second: each client may send one, and the next one ten seconds later.
  @Suite struct RateLimitTests {
    private static let settings = ["RATE_LIMIT_PER_CLIENT": "0.1"]

    private static func from(_ address: String) -> String { "X-Forwarded-For: \(address)" }

    private static func hold(
      _ product: Int, _ headers: String..., at server: ServerProcess
    ) async throws -> APIClient.Answer {
      try await server.answer(to: "POST /api/holds", headers, body: #"{"product_id":\#(product),"quantity":1}"#)
    }

    private static func expectRefusal(_ answer: APIClient.Answer, at location: SourceLocation = #_sourceLocation) {
      #expect(answer.status == 429 && answer.problem == "too-many-requests", "\(answer)", sourceLocation: location)
      let seconds = answer.headers["retry-after"].flatMap { Int($0) }
      #expect(seconds.map { 1...10 ~= $0 } == true, "\(answer.headers)", sourceLocation: location)
    }

    @Test(.database) func `a client that changes too much gets 429, and nothing is done`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        let hold = try await Self.hold(product, at: server).decode(APIClient.Hold.self)
        Self.expectRefusal(try await Self.hold(product, at: server))
        // Without a trusted proxy, the client's own header does not make it another client.
        Self.expectRefusal(try await Self.hold(product, Self.from("192.0.2.1"), at: server))
        let order = #"{"hold_id":"\#(hold.holdId)"}"#
        Self.expectRefusal(try await server.answer(to: "POST /api/orders", body: order))
        Self.expectRefusal(try await server.answer(to: "DELETE /api/holds/\(hold.holdId)"))
        // Reads, payment events and admin requests have no limit.
        for _ in 0..<20 {
          #expect(try await server.api.product(product).availableStock == 9)
          #expect(try await server.api.send("GET", "/api/holds/\(hold.holdId)").status == 200)
          #expect(try await server.api.pay(hold.orderID, key: "early").status == 202)
          #expect(try await server.api.invariants().status == 200)
          let restock = try await server.api.send("POST", "/api/admin/products/\(product)/stock", #"{"delta":1}"#)
          #expect(restock.status == 200)
          let back = try await server.api.send("POST", "/api/admin/products/\(product)/stock", #"{"delta":-1}"#)
          #expect(back.status == 200)
        }
        let metrics = String(buffer: try await server.api.send("GET", "/metrics").body)
        #expect(metrics.contains(#"flashsale_buyer_refusals_total{reason="too_many_requests"} 4"#))
      }
    }

    @Test(.database) func `behind a trusted proxy each address is a client, and each IPv6 network`() async throws {
      let url = TestDatabase.url
      let settings = Self.settings.merging(["TRUSTED_PROXIES": "127.0.0.1"]) { $1 }
      try await withServers(1, on: url, settings: settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        for address in ["192.0.2.1", "192.0.2.2", "198.51.100.1, 192.0.2.3", "2001:db8::1", "2001:db8:0:1::1"] {
          #expect(try await Self.hold(product, Self.from(address), at: server).status == 201, "\(address)")
          Self.expectRefusal(try await Self.hold(product, Self.from(address), at: server))
        }
        for known in ["2001:db8:0:0:ffff::1", "::ffff:192.0.2.1", "203.0.113.9, 192.0.2.3"] {
          Self.expectRefusal(try await Self.hold(product, Self.from(known), at: server))
        }
        #expect(try await server.api.product(product).availableStock == 5)
      }
    }

    @Test(.database) func `with a token the customer is the client, wherever the requests come from`() async throws {
      let url = TestDatabase.url
      let shop = CustomerTokenSigner()
      let settings = Self.settings.merging([
        "TRUSTED_PROXIES": "127.0.0.1", "CUSTOMER_TOKEN_KEYS": shop.setting,
      ]) { $1 }
      try await withServers(1, on: url, settings: settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        for customer in ["ada", "bob"] {
          let token = "Authorization: Bearer " + shop.token(of: customer)
          #expect(try await Self.hold(product, token, Self.from("192.0.2.1"), at: server).status == 201)
          Self.expectRefusal(try await Self.hold(product, token, Self.from("192.0.2.1"), at: server))
          Self.expectRefusal(try await Self.hold(product, token, Self.from("192.0.2.2"), at: server))
        }
        // The address has sent nothing as itself yet. An invalid token proves no customer.
        let invalid = "Authorization: Bearer x"
        #expect(try await Self.hold(product, invalid, Self.from("192.0.2.1"), at: server).status == 401)
        Self.expectRefusal(try await Self.hold(product, invalid, Self.from("192.0.2.1"), at: server))
        Self.expectRefusal(try await Self.hold(product, Self.from("192.0.2.1"), at: server))
      }
    }

    /// Otherwise a page could keep its visitors from buying.
    @Test(.database) func `a form of another site does not use up its visitor's limit`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 10)
        for _ in 0..<5 {
          let refused = try await Self.hold(
            product, "Origin: https://evil.example", "Content-Type: text/plain", at: servers[0])
          #expect(refused.status == 415)
        }
        #expect(try await Self.hold(product, at: servers[0]).status == 201)
      }
    }

    @Test(.database) func `a burst has ten times the requests of a second`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["RATE_LIMIT_PER_CLIENT": "2"]) { servers in
        let product = try await servers[0].api.createProduct(stock: 1000)
        let statuses = try await withThrowingTaskGroup(of: UInt.self) { group in
          for _ in 0..<60 { group.addTask { try await servers[0].api.reserve(1, of: product).status } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        let held = statuses.count { $0 == 201 }
        // Two more a second, while the requests are sent.
        #expect(20..<60 ~= held && statuses.count { $0 == 429 } == 60 - held, "\(held)")
      }
    }
  }
}
