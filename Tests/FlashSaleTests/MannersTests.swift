import API
import Foundation
import StandardWebhooks
import TestSupport
import Testing
import Time

extension FlashSaleTests {
  /// Behaviour towards caches, proxies, browsers and old clients.
  @Suite struct MannersTests {
    private static func request(_ line: String, _ headers: String..., body: String? = nil) -> [UInt8] {
      let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
      return Array(([line, "Host: sale"] + headers + length + ["", body ?? ""]).joined(separator: "\r\n").utf8)
    }

    private static let token = "Authorization: Bearer \(ServerProcess.adminToken)"

    // MARK: Caches

    @Test(.database) func `each response has Cache-Control no-store`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 5)
        let hold: APIClient.Hold = try await server.api.reserve(1, of: product).decode()
        let order = #"{"hold_id":"\#(hold.holdId)"}"#
        let payment = #"{"idempotency_key":"k","order_id":"\#(hold.orderID)","status":"success"}"#
        let requests: [([UInt8], UInt)] = [
          (Self.request("GET /api/products/\(product) HTTP/1.1"), 200),
          (Self.request("GET /api/products/99 HTTP/1.1"), 404),
          (Self.request("GET /api/products?x HTTP/1.1"), 200),
          (Self.request("GET /api/orders/\(hold.orderID) HTTP/1.1"), 404),
          (Self.request("POST /api/orders HTTP/1.1", body: order), 201),
          (Self.request("GET /api/orders/\(hold.orderID) HTTP/1.1"), 200),
          (Self.request("POST /api/payments/webhook HTTP/1.1", body: payment), 200),
          (Self.request("GET /api/holds/\(hold.holdId) HTTP/1.1"), 200),
          (Self.request("DELETE /api/holds/\(hold.holdId) HTTP/1.1"), 409),
          (Self.request("POST /api/holds HTTP/1.1", body: #"{"product_id":\#(product),"quantity":1}"#), 201),
          (Self.request("POST /api/holds?x HTTP/1.1", body: #"{"product_id":\#(product),"quantity":1}"#), 201),
          (Self.request("POST /api/holds HTTP/1.1", body: #"{"product_id":\#(product),"quantity":9}"#), 409),
          (Self.request("POST /api/holds HTTP/1.1", body: "{"), 400),
          (Self.request("POST /api/holds HTTP/1.1", body: "{}"), 422),
          (Self.request("POST /api/holds HTTP/1.1", "Content-Type: x", body: "{}"), 415),
          (Self.request("PUT /api/holds HTTP/1.1"), 405),
          (Self.request("GET /nothing HTTP/1.1"), 404),
          (Self.request("GET /api/admin/invariants HTTP/1.1"), 401),
          (Self.request("GET /api/admin/invariants HTTP/1.1", Self.token), 200),
          (Self.request("GET /api/admin/payment-events HTTP/1.1", Self.token), 200),
          (Self.request("GET /health/live HTTP/1.1"), 200), (Self.request("GET /health/ready HTTP/1.1"), 200),
          (Self.request("GET /metrics HTTP/1.1"), 200), (Self.request("GET /openapi.yaml HTTP/1.1"), 200),
          (Self.request("GET /problems/not-found HTTP/1.1"), 200),
          (Self.request("GET /api/products/\(product) HTTP/1.0"), 200),
          // Refused before any route.
          (Self.request("POST /api/holds HTTP/1.1", "Content-Length: 1000000"), 413),
          (Self.request("GET / HTTP/1.1", "Host: another"), 400),
          (Self.request("GET / HTTP/1.1", "X: " + String(repeating: "x", count: 20_000)), 431),
          (Self.request("POST /api/holds HTTP/1.1", "Expect: x", body: "{}"), 417),
          (Array("nonsense\r\n\r\n".utf8), 400),
        ]
        for (bytes, status) in requests {
          try await RawConnection.with(port: server.port) { connection in
            try await connection.send(bytes)
            let answer = try await connection.answer()
            let description = "\(String(decoding: bytes.prefix(80), as: UTF8.self)): \(answer)"
            #expect(answer.status == status && answer.headers["cache-control"] == "no-store", "\(description)")
          }
        }
        for path in [
          "/api/products/\(product)", "/api/products/99", "/api/products/\(product)/events", "/health/live",
        ] {
          try await RawConnection.with(port: server.port) { connection in
            try await connection.send(Self.request("HEAD \(path) HTTP/1.1"))
            #expect(try await connection.head().headers["cache-control"] == "no-store", "HEAD \(path)")
          }
        }
        let reader = try await EventReader.open("\(server.url)/api/products/\(product)/events")
        #expect(reader.status == 200 && reader.headers["cache-control"] == "no-store")
        reader.close()
      }
    }

    // MARK: Browsers

    @Test(.database) func `a form from another site is refused, and curl -d is accepted`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 10)
        let body = #"{"product_id":\#(product),"quantity":1}"#
        let form = "Content-Type: application/x-www-form-urlencoded"
        func statuses(_ path: String, _ headers: String...) async throws -> UInt {
          try await RawConnection.with(port: server.port) { connection in
            let lines =
              ["POST \(path) HTTP/1.1", "Host: sale"] + headers + ["Content-Length: \(body.utf8.count)", "", body]
            try await connection.send(lines.joined(separator: "\r\n").utf8)
            return try await connection.answer().status
          }
        }
        // The query must not change the outcome.
        for path in ["/api/holds", "/api/holds?x"] {
          for type in [form, "Content-Type: text/plain;charset=UTF-8", "X: no type"] {
            #expect(
              try await statuses(path, type, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site") == 415)
            #expect(try await statuses(path, type, "Sec-Fetch-Site: same-site") == 415)
            #expect(try await statuses(path, type, "Origin: null") == 415)
          }
        }
        #expect(try await server.api.product(product).availableStock == 10)
        #expect(try await statuses("/api/holds", form) == 201)
        #expect(try await statuses("/api/holds", "Content-Type: text/plain") == 201)
        #expect(try await statuses("/api/holds?x", form, "Origin: http://sale", "Sec-Fetch-Site: same-origin") == 201)
        #expect(try await server.api.product(product).availableStock == 7)
      }
    }

    @Test(.database) func `the refusal of an encoded body names the accepted encoding`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 10)
        let body = #"{"product_id":\#(product),"quantity":1}"#
        for path in ["/api/holds", "/api/holds?x", "/api/payments/webhook"] {
          let refused = try await servers[0].api.send("POST", path, body, headers: ["content-encoding": "gzip"])
          #expect(refused.problem == "unsupported-media-type" && refused.headers["accept-encoding"] == "identity")
        }
        let taken = try await servers[0].api.send(
          "POST", "/api/holds", body, headers: ["content-encoding": "identity"])
        #expect(taken.status == 201)
        let other = try await servers[0].api.send("POST", "/api/holds", body, headers: ["content-type": "x"])
        #expect(other.status == 415 && other.headers["accept-encoding"] == nil)
      }
    }

    // MARK: Paths

    /// A proxy that protects `/api/admin` and `/metrics` compares the spelling of the path.
    @Test(.database) func `each path has one spelling`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 5)
        let hold: APIClient.Hold = try await server.api.reserve(1, of: product).decode()
        for path in [
          "/api//admin/invariants", "//api/admin/invariants", "/api/admin//invariants", "/api/admin/invariants/",
          "/api/%61dmin/invariants", "/api/admin%2Finvariants", "/./api/admin/invariants", "/metrics/", "//metrics",
          "/%6Detrics", "/metric%73", "/health//live", "/openapi%2Eyaml", "/api/products/", "/api//products",
          "/api/products//\(product)", "/api/products/\(product)/", "/api/products/\(product)//events",
          "/api/holds/\(hold.holdId)/", "/api/holds/%2F\(hold.holdId)", "/api/holds/\(hold.holdId)%20",
          "/problems//not-found",
        ] {
          try await RawConnection.with(port: server.port) { connection in
            try await connection.send(Self.request("GET \(path) HTTP/1.1", Self.token))
            #expect(try await connection.answer().problem == "not-found", "\(path)")
          }
        }
        for path in ["/api/holds/", "//api/holds", "/api//holds", "/api/hold%73"] {
          let body = #"{"product_id":\#(product),"quantity":1}"#
          #expect(try await server.api.send("POST", path, body).problem == "not-found", "\(path)")
        }
        #expect(try await server.api.product(product).availableStock == 4)
      }
    }

    /// RFC 3986, section 6.2.2.2.
    @Test(.database) func `an id may be percent-encoded`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 5)
        let hold: APIClient.Hold = try await server.api.reserve(1, of: product).decode()
        #expect(try await server.api.order(hold.holdId).status == 201)
        for path in [
          "/api/products/%3\(product)", "/api/holds/\(hold.holdId.replacing("_", with: "%5F"))",
          "/api/holds/\(hold.holdId.replacing("h", with: "%68"))",
          "/api/orders/%6frder%5f\(hold.orderID.dropFirst(6))",
        ] {
          try await RawConnection.with(port: server.port) { connection in
            try await connection.send(Self.request("GET \(path) HTTP/1.1"))
            let answer = try await connection.answer()
            #expect(answer.status == 200, "\(path): \(answer)")
          }
        }
        let reader = try await EventReader.open("\(server.url)/api/products/%3\(product)/events")
        #expect(reader.status == 200)
        reader.close()
      }
    }

    // MARK: Old and odd clients

    /// Java's default client requests HTTP/2 in this way, and so does `curl --http2`.
    @Test(.database) func `a request for HTTP 2 leaves the connection open`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 10)
        let upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
        let body = #"{"product_id":\#(product),"quantity":1}"#
        try await RawConnection.with(port: servers[0].port) { connection in
          let lines =
            ["POST /api/holds HTTP/1.1", "Host: sale"] + upgrade + ["Content-Length: \(body.utf8.count)", "", body]
          let hold = Array(lines.joined(separator: "\r\n").utf8)
          let get = Self.request("GET /api/products HTTP/1.1", upgrade[0], upgrade[1], upgrade[2])
          for _ in 0..<3 {
            try await connection.send(hold)
            #expect(try await connection.answer().status == 201)
            try await connection.send(get)
            let answer = try await connection.answer()
            #expect(answer.status == 200 && answer.headers["connection"] == nil)
          }
          try await connection.send(hold + get + hold + Self.request("GET /health/live HTTP/1.1"))
          for status in [201, 200, 201, 200] as [UInt] { #expect(try await connection.answer().status == status) }
        }
        #expect(try await servers[0].api.product(product).availableStock == 5)
      }
    }

    @Test(.database) func `a stream in HTTP 1.0 has no chunks and ends with its connection`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        for headers in [[], ["Connection: keep-alive"]] {
          try await RawConnection.with(port: servers[0].port) { connection in
            let lines = ["GET /api/products/\(product)/events HTTP/1.0", "Host: sale"] + headers + ["", ""]
            try await connection.send(lines.joined(separator: "\r\n").utf8)
            let head = try await connection.head()
            #expect(head.status == 200 && head.headers["connection"] == "close")
            #expect(head.headers["transfer-encoding"] == nil && head.headers["content-length"] == nil)
            let text = try await connection.text(until: "\n\n")
            #expect(text.hasPrefix("retry: ") && text.contains("\nevent: stock\ndata: {"), "\(text)")
            _ = try await servers[0].api.reserve(1, of: product)
            let next = try await connection.text(until: "\n\n")
            #expect(next.hasPrefix("event: stock\ndata: {"), "\(next)")
            if !headers.isEmpty {
              servers[0].send(.terminate)
              #expect(await connection.isClosed())
            }
          }
        }
      }
    }

    @Test(.database) func `a small body with a megabyte of chunk extensions is refused`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(Self.request("POST /api/holds HTTP/1.1", "Transfer-Encoding: chunked"))
          // The server may close the connection before it has received all bytes.
          try? await connection.send(Array("1;".utf8) + Array(repeating: UInt8(ascii: "x"), count: 1 << 20))
          let answer = try await connection.answer()
          #expect(answer.problem == "payload-too-large" && answer.headers["connection"] == "close", "\(answer)")
        }
        let body = #"{"product_id":\#(product),"quantity":1}"#
        try await RawConnection.with(port: servers[0].port) { connection in
          try await connection.send(
            Self.request("POST /api/holds HTTP/1.1", "Transfer-Encoding: chunked")
              + Array("\(String(body.utf8.count, radix: 16));x=y\r\n\(body)\r\n0\r\nX: y\r\n\r\n".utf8))
          #expect(try await connection.answer().status == 201)
        }
      }
    }

    // MARK: Tokens

    @Test(.database) func `only the metrics token may read metrics if it is set`() async throws {
      let url = TestDatabase.url
      let secret = "a-token-for-metrics"
      try await withServers(1, on: url, settings: ["METRICS_TOKEN": secret]) { servers in
        func status(_ method: String, _ authorization: String?) async throws -> UInt {
          try await servers[0].api.send(
            method, "/metrics", headers: authorization.map { ["authorization": $0] } ?? [:]
          ).status
        }
        #expect(try await status("GET", nil) == 401)
        #expect(try await status("HEAD", nil) == 401)
        #expect(try await status("GET", "Bearer \(ServerProcess.adminToken)") == 401)
        #expect(try await status("GET", secret) == 401)
        let answer = try await servers[0].api.send("GET", "/metrics", headers: ["authorization": "bearer \(secret)"])
        #expect(answer.status == 200)
        #expect(String(buffer: answer.body).contains(#"flashsale_wrong_tokens_total{token="metrics"} 1"#))
        #expect(try await servers[0].api.invariants().status == 200)
      }
    }

    @Test(.database) func `wrong admin tokens are counted, delayed and logged once`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let start = Moment.now
        try await withThrowingDiscardingTaskGroup { group in
          for number in 0..<5 {
            group.addTask {
              try await RawConnection.with(port: servers[0].port) { connection in
                try await connection.send(
                  Self.request("GET /api/admin/invariants HTTP/1.1", "Authorization: Bearer guess-number-\(number)"))
                #expect(try await connection.answer().problem == "unauthorized")
                #expect(start.duration(to: .now) >= .milliseconds(500))
              }
            }
          }
        }
        // These requests have no bearer token, so they do not count.
        for authorization in ["X: y", "Authorization: Basic eA=="] {
          try await RawConnection.with(port: servers[0].port) { connection in
            try await connection.send(Self.request("GET /api/admin/invariants HTTP/1.1", authorization))
            #expect(try await connection.answer().problem == "unauthorized")
          }
        }
        let metrics = try await servers[0].api.send("GET", "/metrics")
        #expect(String(buffer: metrics.body).contains(#"flashsale_wrong_tokens_total{token="admin"} 5"#))
        try await servers[0].end(with: .terminate)
        let lines = servers[0].output.split(separator: "\n").filter { $0.contains("wrong token") }
        #expect(lines.count == 1 && !servers[0].output.contains("guess-number"), "\(servers[0].output)")
      }
    }

    // MARK: Signatures

    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    @Test(.database) func `a refused signature is explained in the response and in the log`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["WEBHOOK_SECRETS": Self.secret], arguments: []) { servers in
        let server = servers[0]
        let product = try await server.api.createProduct(stock: 5)
        let hold: APIClient.Hold = try await server.api.reserve(1, of: product).decode()
        #expect(try await server.api.order(hold.holdId).status == 201)
        let body =
          #"{"idempotency_key":"k","order_id":"\#(hold.orderID)","status":"success","amount":500,"currency":"usd"}"#
        let signer = try #require(WebhookSecret(Self.secret))
        let other = try #require(WebhookSecret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
        let time = now() / 1_000_000
        let good = signer.signature(id: "m", timestamp: time, body: Array(body.utf8))
        let wrong = other.signature(id: "m", timestamp: time, body: Array(body.utf8))
        func send(_ headers: String...) async throws -> APIClient.Answer {
          try await RawConnection.with(port: server.port) { connection in
            let lines = ["POST /api/payments/webhook HTTP/1.1", "Host: sale"] + headers
            let bytes = lines + ["Content-Length: \(body.utf8.count)", "", body]
            try await connection.send(bytes.joined(separator: "\r\n").utf8)
            return try await connection.answer()
          }
        }
        func expectRefusal(_ text: String, _ answer: APIClient.Answer) {
          #expect(answer.problem == "invalid-signature")
          #expect((answer.members["detail"] as? String)?.contains(text) == true, "\(answer)")
        }
        for _ in 0..<3 {
          expectRefusal(
            "webhook-id is missing", try await send("webhook-timestamp: \(time)", "webhook-signature: \(good)"))
        }
        expectRefusal("webhook-timestamp is missing", try await send("webhook-id: m", "webhook-signature: \(good)"))
        expectRefusal("webhook-signature is missing", try await send("webhook-id: m", "webhook-timestamp: \(time)"))
        expectRefusal(
          "behind this server's clock",
          try await send("webhook-id: m", "webhook-timestamp: \(time - 1000)", "webhook-signature: \(good)"))
        expectRefusal(
          "No signature", try await send("webhook-id: m", "webhook-timestamp: \(time)", "webhook-signature: \(wrong)")
        )

        // The valid signature may be in any of several fields.
        let lines = ["webhook-signature: \(good)", "webhook-signature: \(wrong)"]
        for signatures in [lines, lines.reversed()] {
          let answer = try await send("webhook-id: m", "webhook-timestamp: \(time)", signatures[0], signatures[1])
          #expect(answer.members["verdict"] as? String == "applied", "\(answer)")
        }
        let answer = try await send("svix-id: m", "Svix-Timestamp: \(time)", "svix-signature: \(good)")
        #expect(answer.headers["idempotent-replayed"] == "true", "\(answer)")

        try await server.end(with: .terminate)
        let told = server.output.split(separator: "\n").filter { $0.contains("a payment event was refused") }
        #expect(told.count { $0.contains("header_missing") } == 1, "\(told)")
        #expect(
          told.count { $0.contains("timestamp_off") } == 1 && told.count { $0.contains("no_signature_fits") } == 1)
        #expect(told.count == 3, "\(told)")
      }
    }

    // MARK: Streams

    @Test(.database) func `one client gets a tenth of the streams, also behind a trusted proxy`() async throws {
      let url = TestDatabase.url
      let settings = ["MAX_STREAMS": "20", "TRUSTED_PROXIES": "127.0.0.1"]
      try await withServers(1, on: url, settings: settings) { servers in
        let product = try await servers[0].api.createProduct(stock: 5)
        func watch(_ client: String) async throws -> EventReader {
          try await EventReader.open(
            "\(servers[0].url)/api/products/\(product)/events", headers: ["x-forwarded-for": client])
        }
        var readers: [EventReader] = []
        for client in ["192.0.2.1", "192.0.2.2", "198.51.100.7, 192.0.2.3"] {
          for _ in 0..<2 { readers.append(try await watch(client)) }
          let refused = try await watch(client)
          #expect(refused.status == 503 && refused.headers["retry-after"] == "1", "\(refused.body)")
          #expect(refused.body.contains("/problems/overloaded"))
        }
        #expect(readers.allSatisfy { $0.status == 200 })
        for reader in readers { reader.close() }
      }
    }
  }
}
