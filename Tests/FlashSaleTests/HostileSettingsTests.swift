import Postgres
import TestSupport
import Testing

extension FlashSaleTests {
  /// The settings of a role or a database change no response.
  @Suite struct HostileSettingsTests {
    static let settings = [
      "search_path = '$user'", "search_path = ''", "search_path = 'elsewhere, public'",
      "default_transaction_isolation = 'serializable'", "default_transaction_isolation = 'repeatable read'",
      "default_transaction_read_only = on", "default_transaction_deferrable = on", "\"DateStyle\" = 'SQL, DMY'",
      "\"IntervalStyle\" = 'sql_standard'", "\"TimeZone\" = 'Asia/Kathmandu'", "client_encoding = 'LATIN1'",
      "standard_conforming_strings = off", "bytea_output = 'escape'", "statement_timeout = '1ms'",
      "lock_timeout = '1ms'",
      "idle_in_transaction_session_timeout = '1ms'", "row_security = off", "plan_cache_mode = 'force_custom_plan'",
      "plan_cache_mode = 'force_generic_plan'", "jit = on", "transform_null_equals = on", "array_nulls = off",
      "plpgsql.extra_errors = 'all'", "plpgsql.extra_warnings = 'all'", "quote_all_identifiers = on",
      "role = 'nobody_of_settings'", "default_text_search_config = 'pg_catalog.german'", "extra_float_digits = -15",
      "check_function_bodies = on", "enable_indexscan = off", "client_min_messages = 'debug5'",
    ]

    @Test(.database, arguments: settings)
    func `a purchase succeeds whatever a role or database has set`(_ setting: String) async throws {
      let url = TestDatabase.url
      let name = url.split(separator: "/").last!
      try await withPool(on: url) { pool in
        try await pool.run(
          """
          do $$ begin create role nobody_of_settings; exception when duplicate_object or unique_violation then null; end $$;
          grant nobody_of_settings to \(TestDatabases.serverRoleName);
          create schema elsewhere;
          create function elsewhere.cardinality(uuid[]) returns integer language sql as 'select 0';
          grant all on schema elsewhere to public;
          alter database \(name) set \(setting);
          alter role flashsale in database \(name) set \(setting);
          alter role \(TestDatabases.serverRoleName) in database \(name) set \(setting)
          """)
      }
      let status = try await flashsale(["migrate", "--status"], database: url)
      status.expectSuccess()
      try await withServers(1, on: url) { servers in
        let api = servers[0].api
        #expect(try await api.send("GET", "/health/ready").status == 200)
        let product = try await api.createProduct(stock: 3)
        let body = #"{"product_id":\#(product),"quantity":2,"customer_id":"Жук 漢字 \\ ' \" é"}"#
        let key = ["idempotency-key": "the-key"]
        let asked = now()
        let answer = try await api.send("POST", "/api/holds", body, headers: key)
        try #require(answer.status == 201, "\(answer)")
        let hold = try answer.decode(APIClient.Hold.self)
        // The deadline is 120 s after a moment during the request, to the millisecond.
        let placed = try hold.expiry() - 120_000_000
        let during = asked - 1000...now() + 1000
        #expect(during ~= placed, "\(hold.expiresAt)")
        let again = try await api.send("POST", "/api/holds", body, headers: key)
        #expect(again.headers["idempotent-replayed"] == "true", "\(again)")
        #expect(try await api.reserve(2, of: product).problem == "insufficient-stock")
        #expect(try await api.order(hold.holdId).status == 201)
        let payment = try await api.pay(hold.orderID, key: "payment é").decode(APIClient.Payment.self)
        #expect(payment.verdict == "applied" && payment.orderStatus == "paid")
        #expect(try await api.pay(hold.orderID, key: "payment é").headers["idempotent-replayed"] == "true")
        let other = try await api.reserve(1, of: product).decode(APIClient.Hold.self)
        #expect(try await api.release(other.holdId).status == 200)
        #expect(try await api.product(product).availableStock == 1)
        #expect(try await api.invariants().status == 200)
      }
      try await expectCleanAudit(url)
      try await flashsale(["migrate"], database: url).expectSuccess()
    }
  }
}
