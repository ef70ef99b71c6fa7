import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// Requests of pages of other sites, as browsers send them.
  @Suite struct CrossOriginTests {
    private static let shop = "https://shop.example"
    private static let origin = "Origin: \(shop)"
    private static let settings = ["CORS_ORIGINS": "\(shop), https://m.shop.example"]

    private static func preflight(
      _ path: String, of server: ServerProcess, origin: String = origin
    ) async throws -> APIClient.Answer {
      try await server.answer(
        to: "OPTIONS \(path)",
        [origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type"])
    }

    @Test(.database) func `a page of an allowed origin buys`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        let body = #"{"product_id":\#(product),"quantity":1}"#
        let headers = [Self.origin, "Content-Type: application/json", "Sec-Fetch-Site: cross-site"]
        func expectShared(_ answer: APIClient.Answer, _ status: UInt) {
          #expect(answer.status == status, "\(answer)")
          #expect(answer.headers["access-control-allow-origin"] == Self.shop)
          #expect(answer.headers["vary"] == "Origin")
          let exposed = answer.headers["access-control-expose-headers"]?.split(separator: ", ") ?? []
          #expect(Set(exposed) == ["Location", "Retry-After", "X-Request-Id", "Idempotent-Replayed"])
          #expect(answer.headers["access-control-allow-credentials"] == nil)
        }
        let held = try await server.answer(to: "POST /api/holds", headers, body: body)
        expectShared(held, 201)
        let hold = try held.decode(APIClient.Hold.self)
        let order = #"{"hold_id":"\#(hold.holdId)"}"#
        expectShared(try await server.answer(to: "POST /api/orders", headers, body: order), 201)
        expectShared(try await server.answer(to: "POST /api/orders", headers, body: order), 409)
        expectShared(try await server.answer(to: "GET /api/orders/\(hold.orderID)", [Self.origin]), 200)
        expectShared(try await server.answer(to: "GET /api/products", [Self.origin]), 200)
        expectShared(try await server.answer(to: "GET /api/products/99", [Self.origin]), 404)
        expectShared(try await server.answer(to: "POST /api/holds", headers, body: "{"), 400)
        // The connection refuses these before their route.
        expectShared(try await server.answer(to: "POST /api/holds", headers + ["Content-Length: 1000000"]), 413)
        expectShared(try await server.answer(to: "POST /api/holds", headers + ["Expect: x"], body: body), 417)
        // A type that needs no preflight request is refused, also from here.
        let form = [Self.origin, "Content-Type: text/plain"]
        expectShared(try await server.answer(to: "POST /api/holds", form, body: body), 415)
        #expect(try await server.api.product(product).availableStock == 9)

        let events = try await EventReader.open(
          "\(server.url)/api/products/\(product)/events", headers: ["origin": Self.shop])
        #expect(events.status == 200 && events.headers["access-control-allow-origin"] == Self.shop)
        events.close()
      }
    }

    @Test(.database) func `preflight requests are answered for what buyers call, and for nothing else`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: Self.settings) { servers in
        let server = servers[0]
        for (path, methods) in [
          ("/api/products", "GET, HEAD"), ("/api/products/1", "GET, HEAD"), ("/api/products/1/events", "GET, HEAD"),
          ("/api/holds", "POST"), ("/api/holds/hold_1", "DELETE, GET, HEAD"), ("/api/orders", "POST"),
          ("/api/orders/order_1", "GET, HEAD"),
        ] {
          let answer = try await Self.preflight(path, of: server)
          #expect(answer.status == 204 && answer.body.readableBytes == 0, "\(path)")
          #expect(answer.headers["access-control-allow-origin"] == Self.shop, "\(path)")
          #expect(answer.headers["access-control-allow-methods"] == methods, "\(path)")
          #expect(answer.headers["access-control-max-age"] == "600" && answer.headers["vary"] == "Origin", "\(path)")
          let allowed = answer.headers["access-control-allow-headers"]?.lowercased().split(separator: ", ") ?? []
          #expect(
            Set(allowed) == ["content-type", "idempotency-key", "authorization", "x-request-id", "traceparent"])
          #expect(answer.headers["content-length"] == nil && answer.headers["cache-control"] == "no-store")
          // Another origin, and the spelling of another program.
          for origin in ["https://evil.example", "null", Self.shop + "/", Self.shop.uppercased()] {
            let refused = try await Self.preflight(path, of: server, origin: "Origin: \(origin)")
            #expect(refused.headers.keys.allSatisfy { !$0.hasPrefix("access-control-") }, "\(origin)")
          }
        }
        for path in [
          "/api/payments/webhook", "/api/admin/products", "/api/admin/invariants", "/api/admin/payment-events",
          "/health/live", "/health/ready", "/metrics", "/openapi.yaml", "/problems/not-found",
        ] {
          let answer = try await Self.preflight(path, of: server)
          #expect(answer.problem == "method-not-allowed", "\(path)")
          let read = try await server.answer(
            to: "GET \(path)", [Self.origin, "Authorization: Bearer \(ServerProcess.adminToken)"])
          for headers in [answer.headers, read.headers] {
            #expect(headers.keys.allSatisfy { !$0.hasPrefix("access-control-") && $0 != "vary" }, "\(path)")
          }
        }
      }
    }

    @Test(.database) func `the connection stays open after a preflight request`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["CORS_ORIGINS": "*"]) { servers in
        let preflight =
          "OPTIONS /api/holds HTTP/1.1\r\nHost: sale\r\n\(Self.origin)\r\nAccess-Control-Request-Method: POST\r\n\r\n"
        let read = "GET /api/products HTTP/1.1\r\nHost: sale\r\n\(Self.origin)\r\n\r\n"
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send((preflight + read + preflight).utf8)
          for status in [204, 200, 204] as [UInt] {
            let answer = try await connection.answer()
            #expect(answer.status == status && answer.headers["access-control-allow-origin"] == "*")
          }
        }
      }
    }

    @Test(.database) func `without the setting no page of another site may read`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        #expect(try await Self.preflight("/api/holds", of: servers[0]).problem == "method-not-allowed")
        let answer = try await servers[0].answer(to: "GET /api/products", [Self.origin])
        #expect(answer.headers.keys.allSatisfy { !$0.hasPrefix("access-control-") && $0 != "vary" })
      }
    }
  }
}
