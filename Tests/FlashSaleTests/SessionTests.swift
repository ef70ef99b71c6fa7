import Foundation
import TestSupport
import Testing

extension FlashSaleTests {
  /// Sessions of browsers, and the log of changes, over HTTP.
  @Suite struct SessionTests {
    private static let path = "/api/admin/session"

    /// The response to signing in.
    private static func open(
      _ key: String, _ api: APIClient, origin: String? = nil, headers: [String: String] = [:]
    ) async throws -> APIClient.Answer {
      try await api.send(
        "POST", path, #"{"key":"\#(key)"}"#, headers: headers.merging(["origin": origin ?? api.url]) { $1 }, token: nil)
    }

    @Test(.database) func `a session reads and changes until it is closed`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let (api, other) = (servers[0].api, servers[1].api)
        let key = try await createKey("ops-laptop", .operate, on: url)
        let product = try await api.createProduct(stock: 5)
        let opened = try await Self.open(key, api)
        #expect(opened.status == 201 && opened.headers["location"] == Self.path, "\(opened)")
        #expect(opened.members.keys.sorted() == ["expires_at", "name", "scope"])
        #expect(opened.members["name"] as? String == "ops-laptop" && opened.members["scope"] as? String == "operate")
        let fields = try #require(opened.headers["set-cookie"]?.components(separatedBy: "; "))
        #expect(fields.dropFirst() == ["HttpOnly", "SameSite=Strict", "Path=/api/admin", "Max-Age=43200"])
        #expect(fields[0].wholeMatch(of: /flashsale_session=[0-9a-f]{48}/) != nil && !"\(opened)".contains(fields[0]))
        // The other server knows the session.
        let cookie = ["cookie": fields[0]]
        let shown = try await other.send("GET", Self.path, headers: cookie, token: nil)
        #expect(shown.status == 200 && String(buffer: shown.body) == String(buffer: opened.body), "\(shown)")
        let change = cookie.merging(["origin": other.url]) { $1 }
        let restocked = try await other.send(
          "POST", "/api/admin/products/\(product)/stock", #"{"delta":3}"#, headers: change, token: nil)
        #expect(restocked.status == 200, "\(restocked)")

        let closing = change.merging(["content-type": "application/json"]) { $1 }
        let closed = try await other.send("DELETE", Self.path, headers: closing, token: nil)
        #expect(closed.status == 204 && closed.headers["content-length"] == nil && closed.body.readableBytes == 0)
        #expect(
          closed.headers["set-cookie"]
            == "flashsale_session=; HttpOnly; SameSite=Strict; Path=/api/admin; Max-Age=0")
        for server in [api, other] {
          #expect(try await server.send("GET", Self.path, headers: cookie, token: nil).problem == "unauthorized")
        }
      }
    }

    @Test(.database) func `a session of ADMIN_TOKEN ends when the server has another one`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let opened = try await Self.open(ServerProcess.adminToken, servers[0].api)
        #expect(opened.members["name"] as? String == "ADMIN_TOKEN" && opened.members["scope"] as? String == "admin")
        let cookie = ["cookie": try await signIn(with: ServerProcess.adminToken, on: servers[0].api)]
        #expect(try await servers[0].api.send("GET", Self.path, headers: cookie, token: nil).status == 200)
        try await withServers(1, on: url, settings: ["ADMIN_TOKEN": "another-admin-token"]) { others in
          let shown = try await others[0].api.send("GET", Self.path, headers: cookie, token: nil)
          #expect(shown.status == 401, "\(shown)")
        }
      }
    }

    @Test(.database) func `behind a trusted proxy with TLS the cookie is Secure`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["TRUSTED_PROXIES": "127.0.0.1"]) { servers in
        let api = servers[0].api
        let tls = ["x-forwarded-proto": "https"]
        let origin = api.url.replacing("http://", with: "https://")
        let secure = try await Self.open(ServerProcess.adminToken, api, origin: origin, headers: tls)
        #expect(secure.status == 201 && secure.headers["set-cookie"]?.hasSuffix("; Secure") == true, "\(secure)")
        #expect(try await Self.open(ServerProcess.adminToken, api, headers: tls).problem == "forbidden-origin")
      }
      try await withServers(1, on: url) { servers in
        let plain = try await Self.open(
          ServerProcess.adminToken, servers[0].api, headers: ["x-forwarded-proto": "https"])
        #expect(plain.status == 201 && plain.headers["set-cookie"]?.contains("Secure") == false, "\(plain)")
      }
    }

    @Test(.database) func `only a page of this server can sign in, and only with a key`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        for origin in ["http://evil.example", "null", api.url + "0", api.url.replacing("http:", with: "https:")] {
          let answer = try await Self.open(ServerProcess.adminToken, api, origin: origin)
          #expect(answer.status == 403 && answer.problem == "forbidden-origin", "\(origin): \(answer)")
          #expect(answer.headers["set-cookie"] == nil)
        }
        let body = #"{"key":"\#(ServerProcess.adminToken)"}"#
        #expect(try await api.send("POST", Self.path, body, token: nil).problem == "forbidden-origin")
        let form = try await api.send(
          "POST", Self.path, body, headers: ["origin": api.url, "content-type": "text/plain"], token: nil)
        #expect(form.problem == "forbidden-origin", "\(form)")
        for key in ["no-key-at-all", "fsk_" + String(repeating: "0", count: 48)] {
          let answer = try await Self.open(key, api)
          #expect(answer.status == 401 && answer.headers["set-cookie"] == nil, "\(answer)")
        }
        for bad in ["{}", #"{"key":""}"#, #"{"key":1}"#] {
          let answer = try await api.send("POST", Self.path, bad, headers: ["origin": api.url], token: nil)
          #expect(answer.status == 422 && answer.problem == "validation", "\(answer)")
        }
        let sessions = try await withPool(on: url) { try await $0.integer("select count(*) from admin_sessions") }
        #expect(sessions == 0)
      }
    }

    /// The browser adds the cookie to these requests.
    @Test(.database) func `a page of another site cannot use an operator's session`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let product = try await api.createProduct(stock: 5)
        let cookie = try await signIn(with: ServerProcess.adminToken, on: api)
        let stock = "/api/admin/products/\(product)/stock"
        let forgeries: [[String: String]] = [
          [:], ["origin": "http://evil.example"], ["origin": "null"], ["origin": api.url + "0"],
          ["origin": api.url, "content-type": "text/plain"], ["origin": api.url, "sec-fetch-site": "cross-site"],
          ["origin": api.url, "sec-fetch-site": "same-site"],
        ]
        for headers in forgeries {
          let answer = try await api.send(
            "POST", stock, #"{"delta":1}"#, headers: headers.merging(["cookie": cookie]) { $1 }, token: nil)
          #expect(answer.status == 403 && answer.problem == "forbidden-origin", "\(headers): \(answer)")
        }
        // Without a type: a page can send DELETE to its own site only, but a proxy may share the origin.
        let delete = try await api.send(
          "DELETE", Self.path, headers: ["cookie": cookie, "origin": api.url], token: nil)
        #expect(delete.problem == "forbidden-origin", "\(delete)")
        let read = try await api.send(
          "GET", Self.path, headers: ["cookie": cookie, "sec-fetch-site": "cross-site"], token: nil)
        #expect(read.problem == "forbidden-origin" && read.headers["access-control-allow-origin"] == nil, "\(read)")
        #expect(try await api.product(product).totalStock == 5)
        // A bearer token is no cookie: a browser never adds it by itself.
        #expect(try await api.send("POST", stock, #"{"delta":1}"#, headers: ["origin": "null"]).status == 200)
      }
    }

    @Test(.database) func `the audit log says who changed what, and in which request`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let key = try await createKey("ops-laptop", .operate, on: url)
        try await flashsale(["product", "create", "--name", "Cap", "--price", "500", "--stock", "5"], database: url)
          .expectSuccess()
        let patch = try await api.send(
          "PATCH", "/api/admin/products/1", #"{"max_per_customer":4}"#, headers: ["x-request-id": "r-1"], token: key)
        #expect(patch.status == 200, "\(patch)")
        let session = ["cookie": try await signIn(with: key, on: api), "origin": api.url]
        let pause = try await api.send(
          "PATCH", "/api/admin/products/1", #"{"paused":true}"#, headers: session, token: nil)
        _ = try await api.send("POST", "/api/admin/products/1/stock", #"{"delta":-2}"#)
        _ = try await api.send("PATCH", "/api/admin/products/1", #"{"paused":true}"#, headers: session, token: nil)

        let log = try await api.send("GET", "/api/admin/audit-log", token: key)
        let changes = try #require(log.members["changes"] as? [[String: Any]])
        #expect(log.members["next_cursor"] is NSNull && log.status == 200)
        func texts(_ name: String) -> [String] { changes.map { "\($0[name] ?? "-")" } }
        #expect(texts("who") == ["ADMIN_TOKEN", "ops-laptop", "ops-laptop", "command line", "command line"])
        #expect(
          texts("action")
            == ["product.restocked", "product.paused", "product.updated", "product.created", "key.created"])
        #expect((changes[0]["from"] as? [String: Int]) == ["total_stock": 5])
        #expect((changes[0]["to"] as? [String: Int]) == ["total_stock": 3])
        #expect((changes[1]["request_id"] as? String) == pause.headers["x-request-id"])
        #expect((changes[2]["request_id"] as? String) == "r-1" && changes[3]["request_id"] is NSNull)
        #expect((changes[2]["from"] as? [String: Any])?["max_per_customer"] is NSNull)
        #expect((changes[2]["to"] as? [String: Int]) == ["max_per_customer": 4])
        #expect(changes[3]["from"] is NSNull && changes[4]["product_id"] is NSNull)

        let ofProduct = try await api.send("GET", "/api/admin/audit-log?product_id=1")
        #expect((ofProduct.members["changes"] as? [Any])?.count == 4)
        let bad = try await api.send("GET", "/api/admin/audit-log?product_id=0&cursor=x")
        #expect(bad.problem == "validation" && (bad.members["errors"] as? [Any])?.count == 2, "\(bad)")
      }
    }
  }
}
