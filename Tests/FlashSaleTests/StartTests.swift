import Checkout
import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  /// The causes that stop a start. Each is reported in one line, and the database stays unchanged.
  @Suite struct StartTests {
    @Test(arguments: [
      "PORT=http", "PORT=-1", "PORT=65536", "HOLD_TTL_SECONDS=0", "HOLD_TTL_SECONDS=-1", "HOLD_TTL_SECONDS=soon",
      "HOLD_TTL_SECONDS=nan", "HOLD_TTL_SECONDS=inf", "ORDER_TTL_SECONDS=1e9", "WEBHOOK_SECRETS=hunter2",
      "WEBHOOK_SECRETS=whsec_", "WEBHOOK_SECRETS=,", "WEBHOOK_SECRETS=whsec_YQ==",
      "WEBHOOK_SECRETS=whsec_MTUgYnl0ZXMsIG5vIG1v",
      "STRIPE_WEBHOOK_SECRETS=sk_test_0123456789abcdef", "STRIPE_WEBHOOK_SECRETS=whsec_short",
      "STRIPE_WEBHOOK_SECRETS=whsec_0123456789abcdef,", "STRIPE_WEBHOOK_SECRETS_FILE=/nowhere", "ADMIN_TOKEN=x",
      "ADMIN_TOKEN=only-15-letters",
      "ADMIN_TOKEN=a token with spaces in it", "ADMIN_TOKEN=ein-schlüssel-für-admins",
      "ADMIN_TOKEN=line\nline-line-line-line",
      "ADMIN_TOKEN_FILE=/nowhere/at/all", "ADMIN_TOKEN_FILE=/dev/null", "DATABASE_URL_FILE=/nowhere",
      "WEBHOOK_SECRETS_FILE=/", "OTEL_EXPORTER_OTLP_HEADERS=name", "OTEL_EXPORTER_OTLP_HEADERS=a b=c",
      "OTEL_EXPORTER_OTLP_HEADERS=name=%0A", "OTEL_EXPORTER_OTLP_ENDPOINT=http://user:secret@localhost:4318",
      "LOG_LEVEL=loud", "DB_CONNECTIONS=0", "DB_CONNECTIONS=101",
      "DB_NAMED_STATEMENTS=maybe",
      "LOG_FORMAT=xml", "METRICS=some", "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318",
      "OTEL_EXPORTER_OTLP_ENDPOINT=http://", "TRACE_SAMPLE_RATIO=2", "TRACE_SAMPLE_RATIO=nan",
      "TRACE_SAMPLE_RATIO=most",
      "MAX_BODY_BYTES=many", "IDLE_TIMEOUT_SECONDS=0", "REQUEST_TIMEOUT_SECONDS=-1", "MAX_IN_FLIGHT=0",
      "QUEUE_TIMEOUT_MS=1.5", "MAX_STREAMS=0", "HOLD_RETENTION_SECONDS=0", "IDEMPOTENCY_KEY_TTL_SECONDS=x",
      "SHUTDOWN_TIMEOUT_SECONDS=never", "SHUTDOWN_DELAY_SECONDS=-1",
      "CORS_ORIGINS=shop.example", "CORS_ORIGINS=https://shop.example/", "CORS_ORIGINS=*,https://shop.example",
      "CUSTOMER_TOKEN_KEYS=shop", "CUSTOMER_TOKEN_KEYS=shop:c2hvcnQ=", "CUSTOMER_TOKEN_KEYS=,",
      "CUSTOMER_TOKEN_KEYS=a:MzIgYnl0ZXMgb2YgYSBrZXksIGZvciBhIHRlc3QuLi4=,a:MzIgYnl0ZXMgb2YgYSBrZXksIGZvciBhIHRlc3QuLi4=",
      "CUSTOMER_TOKEN_KEYS_FILE=/nowhere", "RATE_LIMIT_PER_CLIENT=0", "RATE_LIMIT_PER_CLIENT=some",
      "RATE_LIMIT_PER_CLIENT=nan",
      "PAGES=maybe", "CHECKOUT_URL=pay.example.com/start", "CHECKOUT_URL=ftp://pay.example.com/",
      "CHECKOUT_URL=https://", "CHECKOUT_URL=https://user@pay.example.com/",
      "CHECKOUT_URL=https://pay.example.com:99999/", "CHECKOUT_URL=javascript:alert(1)",
      "CHECKOUT_URL=https://pay.example.com/a b",
      "DATABASE_URL=mysql://localhost/shop", "LISTEN_DATABASE_URL=http://localhost/",
    ])
    func `a bad setting is named before the database is changed`(_ setting: String) async throws {
      try await TestDatabases.withEmptyDatabase { url in
        let (name, value) = (String(setting.prefix { $0 != "=" }), String(setting.drop { $0 != "=" }.dropFirst()))
        let settings = ["DATABASE_URL": url, "PORT": "0"].merging([name: value]) { $1 }
        let result = try await flashsale(
          ["serve", "--migrate", "--unsigned-webhooks"], database: settings["DATABASE_URL"], settings: settings)
        result.expectFailure(saying: name)
        #expect(try await Self.tables(url) == 0)
      }
    }

    @Test func `unsigned webhooks must be requested`() async throws {
      try await TestDatabases.withEmptyDatabase { url in
        try await flashsale(["serve", "--migrate"], database: url).expectFailure(saying: "WEBHOOK_SECRETS is not set")
        #expect(try await Self.tables(url) == 0)
      }
    }

    @Test(arguments: [["migrate"], ["migrate", "--status"], ["audit"], ["product", "list"]])
    func `an unreachable database is reported in one line`(_ arguments: [String]) async throws {
      for url in [
        "postgresql://a@127.0.0.1:1/b", "postgresql://a@localhost:1,127.0.0.1:2/b", "postgresql:///b?host=/no",
      ] {
        try await flashsale(arguments, database: url).expectFailure(saying: "cannot connect to PostgreSQL")
      }
      try await flashsale(arguments).expectFailure(saying: "DATABASE_URL is not set")
    }

    @Test func `a database that is not UTF-8 is refused and stays unchanged`() async throws {
      try await TestDatabases.withEmptyDatabase { url in
        let other = url + "_ascii"
        try await withPool(on: url) {
          try await $0.run(
            "create database \(url.split(separator: "/").last!)_ascii encoding 'SQL_ASCII' locale 'C' template template0"
          )
        }
        for arguments in [["migrate"], ["migrate", "--status"], ["serve"], ["serve", "--migrate", "--seed"]] {
          let more = arguments[0] == "serve" ? ["--unsigned-webhooks", "--port", "0"] : []
          try await flashsale(arguments + more, database: other).expectFailure(
            saying: "its encoding is SQL_ASCII, not UTF8")
        }
        #expect(try await Self.tables(other) == 0)
        try await withPool(on: url) {
          try await $0.run("drop database \(url.split(separator: "/").last!)_ascii with (force)")
        }
      }
    }

    @Test func `an outdated schema is refused`() async throws {
      try await TestDatabases.withEmptyDatabase { url in
        try await Self.serve(url).expectFailure(saying: "run `flashsale migrate`")
        #expect(try await Self.tables(url) == 0)
        let status = try await flashsale(["migrate", "--status"], database: url)
        status.expectFailure(saying: "the schema is not what this program needs")
        #expect(status.output.contains { $0.contains("0001_checkout") }, "\(status)")
        for command in [["audit"], ["product", "list"]] {
          try await flashsale(command, database: url).expectFailure(saying: "run `flashsale migrate`")
        }
      }
    }

    @Test(.database) func `a schema newer than the program is refused`() async throws {
      let url = TestDatabase.url
      try await withPool(on: url) {
        try await $0.run(
          "insert into schema_files (kind, name, checksum) values ('migration', '9999_from_the_future', 'x')")
      }
      try await Self.expectRefusal(url, saying: "newer than this program")
    }

    @Test(.database) func `an edited migration is refused`() async throws {
      let url = TestDatabase.url
      try await withPool(on: url) {
        try await $0.run("update schema_files set checksum = 'x' where name like '0001%'")
      }
      try await Self.expectRefusal(url, saying: "was edited after it was applied")
    }

    /// Expects a refusal by each command, and that pending functions are not migrated.
    private static func expectRefusal(_ url: String, saying reason: String) async throws {
      try await withPool(on: url) {
        try await $0.run("update schema_files set checksum = 'old' where kind = 'function'")
      }
      try await serve(url).expectFailure(saying: reason)
      try await flashsale(["serve", "--unsigned-webhooks", "--migrate"], database: url).expectFailure(saying: reason)
      try await flashsale(["migrate"], database: url).expectFailure(saying: reason)
      try await flashsale(["migrate", "--status"], database: url).expectFailure(saying: "the schema is not what")
      let untouched = try await withPool(on: url) {
        try await $0.integer("select count(*) from schema_files where kind = 'function' and checksum <> 'old'")
      }
      #expect(untouched == 0)
    }

    @Test(.database) func `a port in use is reported in one line`() async throws {
      let url = TestDatabase.url
      try await withServers(1, on: url) { servers in
        let second = try await flashsale(
          ["serve", "--unsigned-webhooks", "--port", "\(servers[0].port)"], database: url)
        second.expectFailure(saying: "port is in use")
        #expect(try await servers[0].api.send("GET", "/health/ready").status == 200)
      }
      try await flashsale(["serve", "--unsigned-webhooks", "--host", "203.0.113.1"], database: url)
        .expectFailure(saying: "cannot listen")
    }

    @Test func `concurrent migrations all succeed`() async throws {
      try await TestDatabases.withEmptyDatabase { url in
        let results = try await withThrowingTaskGroup(of: CommandResult.self) { group in
          for _ in 0..<8 { group.addTask { try await flashsale(["migrate", "--seed"], database: url) } }
          return try await group.reduce(into: [CommandResult]()) { $0.append($1) }
        }
        for result in results { result.expectSuccess() }
        let applied = results.flatMap(\.output).filter { $0.hasPrefix("applied ") }
        #expect(applied.count == Set(applied).count && applied.count > 5)

        let status = try await flashsale(["migrate", "--status"], database: url)
        status.expectSuccess()
        #expect(status.output == ["the schema is up to date"])
        try await flashsale(["migrate", "--seed"], database: url).expectSuccess()
        let list = try await flashsale(["product", "list"], database: url)
        #expect(list.output.dropFirst().map { $0.split(separator: " ").first } == ["1"], "\(list)")
        let next = try await flashsale(
          ["product", "create", "--name", "Cap", "--price", "1", "--stock", "1"], database: url)
        #expect(next.output == ["2"], "\(next)")
        try await expectCleanAudit(url)
      }
    }

    private static func serve(_ url: String) async throws -> CommandResult {
      try await flashsale(["serve", "--unsigned-webhooks", "--port", "0"], database: url)
    }

    private static func tables(_ url: String) async throws -> Int64 {
      try await withPool(on: url) {
        try await $0.integer("select count(*) from pg_class where relnamespace = to_regnamespace('flashsale')")
      }
    }
  }
}
