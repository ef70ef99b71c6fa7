import Foundation
import Subprocess
import TestSupport
import Testing

extension FlashSaleTests {
  /// No process prints a secret, at any log level and after any failure.
  @Suite struct SecrecyTests {
    private static let password = "mark-of-the-database-password"
    private static let webhookKey = "mark-of-the-webhook-key"
    private static let webhookSecret = "whsec_" + Data(webhookKey.utf8).base64EncodedString()
    private static let stripeKey = "mark-of-the-stripe-key"
    private static let stripeSecret = "whsec_" + stripeKey
    private static let header = "mark-of-the-collector-header"
    private static let metricsToken = "mark-of-the-metrics-token"
    private static let strangersToken = "mark-of-a-wrong-admin-token"
    private static let customerKey = "mark-of-the-key-of-customer-tokens"
    private static let customerTokens = CustomerTokenSigner(kid: "shop", key: customerKey)
    private static let customerToken = customerTokens.token(of: "ada", expiresIn: 86_400)
    private static let marks = [
      password, webhookKey, String(webhookSecret.dropFirst("whsec_".count)), header, strangersToken,
      metricsToken, customerKey, Data(customerKey.utf8).base64EncodedString(), customerToken,
      ServerProcess.adminToken, stripeKey,
    ]

    private static func expectNoMark(
      _ output: String, _ what: Comment? = nil, at location: SourceLocation = #_sourceLocation
    ) {
      for mark in marks where output.contains(mark) {
        let lines = output.split(separator: "\n").filter { $0.contains(mark) }
        Issue.record("\(what ?? "") \(mark) in: \(lines.joined(separator: "\n"))", sourceLocation: location)
      }
    }

    private static let loud = [
      "LOG_LEVEL": "trace", "WEBHOOK_SECRETS": webhookSecret, "CUSTOMER_TOKEN_KEYS": customerTokens.setting,
      "STRIPE_WEBHOOK_SECRETS": stripeSecret,
    ]

    @Test(arguments: ["text", "json"])
    func `a server prints no secret, even after a database loss and a bad signature`(
      format: String
    ) async throws {
      try await SpanCollector.withCollector { collector in
        try await TestDatabases.withDatabase { url in
          let settings = Self.loud.merging([
            "LOG_FORMAT": format, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_SAMPLE_RATIO": "1",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=\(Self.header)", "METRICS_TOKEN": Self.metricsToken,
            "ACCESS_LOG": "true", "EVENT_WEBHOOKS_ALLOW_PRIVATE": "true",
          ]) { $1 }
          let database = TestDatabases.serverURL(url).replacing("@", with: ":\(Self.password)@")
          #expect(database.contains(Self.password))
          try await withServers(1, on: database, settings: settings, arguments: []) { servers in
            let api = servers[0].api
            let product = try await api.createProduct(stock: 9)
            let hold = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
            #expect(try await api.order(hold.holdId).status == 201)
            let payment = try await flashsale(["pay", hold.orderID, "--url", api.url], settings: Self.loud)
            payment.expectSuccess()
            Self.expectNoMark("\(payment)")
            for (token, status) in [(Self.customerToken, 201), (Self.customerToken + "x", 401)] as [(String, UInt)] {
              let answer = try await api.send(
                "POST", "/api/holds", #"{"product_id":\#(product),"quantity":1}"#,
                headers: ["authorization": "Bearer \(token)"])
              #expect(answer.status == status)
              Self.expectNoMark("\(answer)")
            }
            let forged = [
              "webhook-id": "m", "webhook-timestamp": "\(Int(Date().timeIntervalSince1970))",
              "webhook-signature": "v1,\(Data(repeating: 7, count: 32).base64EncodedString())",
            ]
            let event = #"{"idempotency_key":"k","order_id":"\#(hold.orderID)","status":"success"}"#
            #expect(try await api.send("POST", "/api/payments/webhook", event, headers: forged).status == 401)
            let forgedStripe = ["stripe-signature": "t=\(Int(Date().timeIntervalSince1970)),v1=00"]
            #expect(
              try await api.send("POST", "/api/payments/webhook/stripe", event, headers: forgedStripe).status == 401)
            for (token, status) in [(Self.strangersToken, 401), (Self.metricsToken, 200)] as [(String, UInt)] {
              let answer = try await api.send("GET", "/metrics", headers: ["authorization": "Bearer \(token)"])
              #expect(answer.status == status)
              Self.expectNoMark("\(answer)")
            }
            let name = try #require(url.split(separator: "/").last)
            try await withPool(on: url.dropLast(name.count) + "postgres") { server in
              try await server.run("alter database \(name) with allow_connections false")
              try await server.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(name)'")
              try await eventually("the loss is seen") { try await api.reserve(1, of: product).status == 503 }
              try await server.run("alter database \(name) with allow_connections true")
              try await eventually("it is back") { try await api.reserve(1, of: product).status == 201 }
            }
            let key = try await createKey("laptop", .admin, on: url)
            #expect(try await api.send("GET", "/api/admin/invariants", token: key).status == 200)
            let cookie = try await signIn(with: key, on: api)
            let session = try await api.send("GET", "/api/admin/session", headers: ["cookie": cookie], token: nil)
            #expect(session.status == 200)
            let (endpoint, secret) = try await api.createEndpoint(events: "*")
            let path = "\(APIClient.endpointsPath)/\(endpoint)"
            let rotated = try await api.send("POST", path + "/rotate-secret", token: key)
            let nextSecret = try #require(rotated.members["secret"] as? String, "\(rotated)")
            #expect(try await api.send("POST", path + "/test", token: key).status == 202)
            try await eventually("the delivery has failed") {
              try await api.send("GET", path, token: key).members["failures"] as? Int ?? 0 > 0
            }
            #expect(try await servers[0].end(with: .terminate) == .exited(0))
            let keys = [secret, nextSecret].map { String($0.dropFirst("whsec_".count)) }
            for secret in [key, String(cookie.dropFirst("flashsale_session=".count))] + keys {
              #expect(!servers[0].output.contains(secret))
            }
            #expect(servers[0].output.contains("debug") || servers[0].output.contains("trace"), "it logs everything")
            Self.expectNoMark(servers[0].output)
            #expect(collector.headers["api-key"] == Self.header)
          }
        }
      }
    }

    /// Swift's report of a crash contains frames, registers, and the memory that they point to.
    @Test(.database) func `the report of a crash contains no secret`() async throws {
      let url = TestDatabase.url
      let server = ServerProcess(
        database: TestDatabases.serverURL(url).replacing("@", with: ":\(Self.password)@"),
        settings: Self.loud.merging([
          "SWIFT_BACKTRACE": "enable=yes,color=no,interactive=no,threads=all,symbolicate=off"
        ]) { $1 },
        arguments: [])
      try await server.start()
      let product = try await server.api.createProduct(stock: 5)
      #expect(try await server.api.reserve(1, of: product).status == 201)
      // A failed precondition raises SIGILL. If another process sends it, it is reported and the server goes on.
      server.send(.init(rawValue: SIGILL))
      try await eventually("the crash is reported", within: .seconds(60)) { server.output.contains("Backtrace took") }
      try await server.end(with: .kill)
      Self.expectNoMark(server.output)
    }

    @Test(arguments: [
      "postgresql://u:%@localhost/%zz", "postgresql://u:part@%@localhost/shop", "postgresql://u:%/x@localhost/shop",
      "postgresql://u:1/%@localhost/shop", "postgresql://u:1%2F%@@localhost/shop",
      "postgresql://u:p@localhost/shop?%=1",
      "postgresql://u:p@localhost/shop?%", "postgresql://u:p@[::1%/shop", "postgresql://u:x?y/%@localhost/shop?a",
      "host=localhost password=x %", "host=localhost password='%", "%", "mysql://u:%@localhost/shop",
      "postgresql://u:%@127.0.0.1:1/shop", "postgresql://u:%@nowhere.invalid/shop",
      "host=127.0.0.1 port=1 password=%", "postgresql://u@127.0.0.1:1/shop?password=%",
    ])
    func `no error about an unusable database URL contains the password`(pattern: String) async throws {
      // `%` stands for the password. `%2F` and the invalid `%zz` stay as they are.
      let url = pattern.replacing("%2F", with: "\u{0}").replacing("%zz", with: "\u{1}")
        .replacing("%", with: Self.password).replacing("\u{0}", with: "%2F").replacing("\u{1}", with: "%zz")
      for arguments in [["migrate"], ["audit"], ["product", "list"]] {
        let result = try await flashsale(arguments, database: url, settings: Self.loud)
        result.expectFailure(saying: "")
        Self.expectNoMark("\(result)", "\(pattern)")
      }
      // A server waits for an unreachable database, so a signal ends it.
      let server = ChildProcess(
        ["serve", "--port", "0"], settings: Self.loud.merging(["DATABASE_URL": url]) { $1 })
      try await eventually("it says what is wrong", within: .seconds(30)) {
        server.output.contains("DATABASE_URL") || server.output.contains("waiting for the database")
      }
      server.send(.terminate)
      _ = try await server.status
      Self.expectNoMark(server.output, "\(pattern)")
    }

    @Test func `the refusal of a setting does not repeat a secret`() async throws {
      for (name, value) in [
        ("ADMIN_TOKEN", "\(ServerProcess.adminToken) \n\(ServerProcess.adminToken)"),
        ("WEBHOOK_SECRETS", "\(Self.webhookSecret),nonsense"), ("WEBHOOK_SECRETS", Self.webhookKey),
        ("STRIPE_WEBHOOK_SECRETS", "\(Self.stripeSecret),nonsense"), ("STRIPE_WEBHOOK_SECRETS", Self.stripeKey),
        ("CUSTOMER_TOKEN_KEYS", "\(Self.customerTokens.setting),nonsense"), ("CUSTOMER_TOKEN_KEYS", Self.customerKey),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,\(Self.header)"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:\(Self.header)@localhost:4318"),
        ("LISTEN_DATABASE_URL", "postgresql://u:x@\(Self.password)@h/d"),
      ] {
        let settings = ["WEBHOOK_SECRETS": Self.webhookSecret].merging([name: value]) { $1 }
        let result = try await flashsale(["serve"], database: "postgresql://u@127.0.0.1:1/x", settings: settings)
        result.expectFailure(saying: name)
        Self.expectNoMark("\(result)")
      }
    }

    @Test(.database) func `the password of the server role is never printed`() async throws {
      let url = TestDatabase.url
      let settings = ["SERVER_ROLE_PASSWORD": Self.password, "SERVER_ROLE": "flashsale_marked"]
      let made = try await flashsale(["migrate"], database: url, settings: settings)
      made.expectSuccess()
      Self.expectNoMark("\(made)")
      // A role that may not change roles is refused.
      let refused = try await flashsale(
        ["migrate", "--server-role", "flashsale"],
        database: url.replacing("//flashsale@", with: "//flashsale_marked@"),
        settings: settings)
      #expect(refused.status == .exited(1), "\(refused)")
      Self.expectNoMark("\(refused)")
      try await withPool(on: url) { try await $0.run("drop owned by flashsale_marked; drop role flashsale_marked") }
    }

    @Test func `demo prints no configured secret`() async throws {
      let directory = temporaryDirectory()
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let settings = Self.loud.merging([
        "ADMIN_TOKEN": ServerProcess.adminToken, "DATABASE_URL": "postgresql://u:\(Self.password)@127.0.0.1:1/x",
      ]) { $1 }
      let demo = ChildProcess(["demo", "--port", "0"], settings: settings, directory: directory)
      _ = try await demo.line(startingWith: "Ctrl-C")
      demo.send(.interrupt)
      #expect(try await demo.status == .exited(0), "\(demo.output)")
      Self.expectNoMark(demo.output)
    }
  }
}
