import Checkout
import Logging
import NIOHTTP1
import Postgres
import TestSupport
import Testing

@testable import API

extension FlashSaleTests {
  /// Keys of each scope, on each admin route.
  @Suite struct AdminScopeTests {
    /// The routes come from the server's own list, so a new route is tested, too.
    private static var routes: [AdminRoute] {
      let connection = ConnectionConfiguration(url: "postgresql://nobody@127.0.0.1:1/nothing")
      let checkout = Checkout(
        database: Pool(connection, size: 1), configuration: .init(listener: connection), logger: Logger(label: "test"))
      let streams = StockStreams(checkout: checkout, maximumCount: 1, limits: .init())
      let ticks = Ticks(
        checkout: checkout, streams: streams, figures: LiveFigures(), identity: ServerIdentity(startedAt: .now))
      return AdminRoutes(
        checkout: checkout, ownPages: OwnPages(proxies: TrustedProxies()), ticks: ticks,
        endpointPolicy: APIServer.Configuration(webhookVerifier: nil, adminToken: nil).endpointPolicy
      ).routes
    }

    /// A request to the route. The response may be a stream, so only its head is awaited.
    private static func send(_ route: AdminRoute, _ server: ServerProcess, headers: String...) async throws
      -> APIClient.Answer
    {
      let path = route.path.replacing(/\{[a-z_]+\}/, with: "1")
      let lines = ["\(route.method.rawValue) \(path) HTTP/1.1", "Host: 127.0.0.1:\(server.port)"] + headers
      let head = (lines + ["Content-Type: application/json", "Content-Length: 2", "", "{}"]).joined(separator: "\r\n")
      return try await RawConnection.with(port: server.port) { connection in
        try await connection.send(head.utf8)
        return try await connection.answer()
      }
    }

    @Test(.database) func `a key may use exactly the routes of its scope`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let (server, routes) = (servers[0], Self.routes)
        #expect(routes.count >= 22)
        for scope in AdminScope.allCases {
          let key = try await createKey("key-\(scope)", scope, on: url)
          for route in routes {
            // One of the routes ends the session.
            let cookie = try await signIn(with: key, on: server.api)
            let answers = [
              try await Self.send(route, server, headers: "Authorization: Bearer \(key)"),
              try await Self.send(route, server, headers: "Cookie: \(cookie)", "Origin: \(server.url)"),
            ]
            for answer in answers {
              let what: Comment = "\(scope) \(route.method) \(route.path): \(answer)"
              #expect(answer.status != 401, what)
              #expect((answer.status == 403) == (scope < route.scope), what)
              guard answer.status == 403 else { continue }
              #expect(answer.problem == "insufficient-scope", what)
              #expect(answer.members["required_scope"] as? String == route.scope.rawValue, what)
              #expect(answer.headers["www-authenticate"]?.contains(#"scope="\#(route.scope)""#) == true, what)
            }
            if route.method == .DELETE, route.path == SessionRoutes.path {
              #expect(answers.map(\.status) == [204, 204])
            }
          }
        }
      }
    }

    @Test(.database) func `without a key each route is 401 and does nothing`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url, settings: ["ADMIN_TOKEN": ""]) { servers in
        for route in Self.routes {
          for headers in ["X: y", "Authorization: Basic \(ServerProcess.adminToken)", "Authorization: Bearer "] {
            let answer = try await Self.send(route, servers[0], headers: headers)
            #expect(answer.status == 401 && answer.problem == "unauthorized", "\(headers) \(route.path): \(answer)")
            #expect(answer.headers["www-authenticate"] == "Bearer")
          }
        }
        // Without ADMIN_TOKEN, a key still works.
        let key = try await createKey("laptop", .read, on: url)
        #expect(try await servers[0].api.send("GET", "/api/admin/invariants", token: key).status == 200)
      }
    }

    /// A wrong key may be a guess. The response comes late, and the log says so.
    @Test(.database) func `a wrong key is refused like a wrong token`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let wrong = AdminSecret.newKey().revealed()
        for token in [wrong, "no-key-at-all", ServerProcess.adminToken + "x"] {
          let began = ContinuousClock.now
          let answer = try await api.send("GET", "/api/admin/invariants", token: token)
          #expect(answer.status == 401 && answer.problem == "unauthorized", "\(answer)")
          #expect(ContinuousClock.now - began >= .milliseconds(450))
        }
        let metrics = String(buffer: try await api.send("GET", "/metrics").body)
        #expect(metrics.contains(#"flashsale_wrong_tokens_total{token="admin"} 3"#), "\(metrics)")
        #expect(servers[0].output.contains("wrong_admin_token") && !servers[0].output.contains(wrong))
      }
    }

    @Test(.database) func `a revoked key ends at once on each server`() async throws {
      let url = TestDatabase.url
      try await withServers(2, on: url) { servers in
        let key = try await createKey("laptop", .admin, on: url)
        let cookie = try await signIn(with: key, on: servers[0].api)
        func statuses() async throws -> [UInt] {
          var statuses: [UInt] = []
          for server in servers {
            statuses.append(try await server.api.send("GET", "/api/admin/audit-log", token: key).status)
            let session = ["cookie": cookie]
            statuses.append(try await server.api.send("GET", "/api/admin/session", headers: session, token: nil).status)
          }
          return statuses
        }
        #expect(try await statuses() == [200, 200, 200, 200])
        try await flashsale(["key", "revoke", "laptop"], database: url).expectSuccess()
        #expect(try await statuses() == [401, 401, 401, 401])
      }
    }

    @Test(.database) func `while the database is away keys are 503 and ADMIN_TOKEN still admits`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        let key = try await createKey("laptop", .read, on: url)
        let cookie = ["cookie": try await signIn(with: key, on: api)]
        let name = try #require(url.split(separator: "/").last)
        try await withPool(on: url.dropLast(name.count) + "postgres") { server in
          try await server.run("alter database \(name) with allow_connections false")
          try await server.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'")
          try await eventually("the loss is seen") {
            try await api.send("GET", "/api/admin/session", token: key).problem == "database-unavailable"
          }
          let session = try await api.send("GET", "/api/admin/session", headers: cookie, token: nil)
          #expect(session.problem == "database-unavailable", "\(session)")
          #expect(try await api.send("GET", "/api/admin/session").status == 200)
          #expect(try await api.send("GET", "/api/admin/invariants").problem == "database-unavailable")
          #expect(try await api.send("GET", "/api/admin/session", token: "no-key-at-all").status == 401)
          try await server.run("alter database \(name) with allow_connections true")
        }
        try await eventually("it is back") {
          try await api.send("GET", "/api/admin/session", headers: cookie, token: nil).status == 200
        }
      }
    }
  }
}
