import Checkout
import Foundation
import LocalPostgres
import Logging
import Postgres
import Secrets
import TestSupport
import Testing

private let orderID = "00000001-6b02-8f00-9e3e-db626b23aa96"

@Suite struct ServerRoleTests {
  /// All other tests show what the role can do: `withCheckout` uses it.
  @Test(
    .database,
    arguments: [
      "select * from flashsale.holds", "select * from flashsale.products",
      "update flashsale.products set available_stock = 1",
      "insert into flashsale.scheduled_jobs values (1, 'expire_holds', now())", "delete from flashsale.payment_events",
      "create table public.t (i integer)", "create function public.f() returns int language sql as 'select 1'",
      "create table flashsale.t (i integer)", "create function flashsale.f() returns int language sql as 'select 1'",
      "select flashsale.expire_holds(1, 1, null)", "select flashsale.decide_payment_events(1, null, null, null, null)",
      "select flashsale.decide_refunds(1, null)", "select flashsale.record_refund(null)",
      "delete from flashsale.refunds",
      "update flashsale.schema_files set checksum = ''", "drop function flashsale.read_products",
      "select * from flashsale.admin_keys", "update flashsale.admin_sessions set expires_at = 'infinity'",
      "delete from flashsale.admin_changes",
      "select flashsale.record_admin_change('ops', null, 'a.b', null, null, '{}')",
      "select flashsale.begin_erasure('ada', 'erased_0123456789abcdef0123456789abcdef')",
      "select flashsale.erase_customer(1, 'ada', null, null, 10)", "select flashsale.end_erasure('ada')",
      "select flashsale.export_customer(1, 'ada', null, null, 10)",
    ])
  func `the servers' role may not run these statements`(statement: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
    let error = await #expect(throws: PostgresError.self) { try await pool.run(statement) }
    guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
    #expect(refusal.sqlState == "42501")
    await pool.close()
  }

  /// Servers check the requests of clients. A direct call of a function must not avoid these checks.
  @Test(
    .database,
    arguments: [
      // Arrays of different lengths, of two dimensions, with another first index.
      "apply_payment_events(1, '{a,b}', '{\(orderID)}', '{success}', '{null}', '{null}')",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{success}', '{null,null}', '{null}')",
      "apply_payment_events(1, '{{a},{b}}', '{{\(orderID)},{\(orderID)}}', '{{success},{failed}}', '{{null},{null}}', '{{null},{null}}')",
      "apply_payment_events(1, '[0:0]={a}', '[0:0]={\(orderID)}', '[0:0]={success}', '[0:0]={null}', '[0:0]={null}')",
      "apply_payment_events(1, '{}', '{}', '{}', '{}', '{}')", "apply_payment_events(1, null, null, null, null, null)",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{success}', '{-1}', '{null}')",
      // Refunds and disputes have a payment, other events have none. Refunds have an amount.
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{refund}', '{1}', '{null}')",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{refund}', '{1}', '{null}', '{null}')",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{refunded_total}', '{null}', '{null}', '{b}')",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{success}', '{1}', '{null}', '{b}')",
      "apply_payment_events(1, '{a}', '{\(orderID)}', '{dispute_open}', '{null}', '{null}', '{b,c}')",
      "refund_order(1, '\(orderID)', 0, false, null, 'k', '\(orderID)')",
      "refund_order(1, '\(orderID)', -1, false, null, 'k', '\(orderID)')",
      "refund_order(1, '\(orderID)', null, null, null, 'k', '\(orderID)')",
      "refund_order(1, '\(orderID)', null, false, null, null, '\(orderID)')",
      "list_payment_events(null, null, null, null, null, null)",
      "list_payment_events(null, null, null, null, null, -1)",
      "list_payment_events(null, null, null, null, null, 100000)", "list_payment_events(null, 1, null, null, null, 10)",
      "list_orders(null, null, null, null, 0, null, null)", "list_orders(null, null, null, null, 0, null, 100000)",
      "list_orders(null, null, null, null, null, null, 10)", "list_orders(null, null, null, null, -1, null, 10)",
      "list_orders(null, null, null, null, 4294967296, null, 10)", "list_holds(null, null, null, 0, null, 0)",
      "list_holds(null, null, null, -1, null, 10)",
      "run_due_jobs(false, null, 0, 0, 0)", "run_due_jobs(false, 0, 0, 0, 0)", "run_due_jobs(true, 1000000, 0, 0, 0)",
      "restock_product(1, 0)", "restock_product(1, null)", "restock_product(1, -2147483648)",
      "read_order_history(1, gen_random_uuid(), null)", "read_order_history(1, gen_random_uuid(), 1001)",
      "list_admin_changes(null, null, null)", "list_admin_changes(null, null, 100000)", "find_admin(null, null, null)",
      "find_admin('a', 'a', null)", "open_session(null, null, 'a', 1)", "open_session('a', 'a', 'a', 1)",
      "open_session('a', null, 'a', 2592000000001)",
      "begin_recovery(gen_random_uuid(), null)", "recover_deliveries(gen_random_uuid(), 0)",
      "recover_deliveries(gen_random_uuid(), 10001)", "remove_deliveries(gen_random_uuid(), null)",
    ])
  func `arguments out of bounds are refused`(call: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
    let error = await #expect(throws: PostgresError.self) { try await pool.run("select flashsale.\(call)") }
    guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
    #expect(refusal.sqlState == "22023")
    await pool.close()
  }

  /// A caller's temporary table must not replace a table of the checkout.
  @Test(.database) func `functions have a fixed search path`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
    try await pool.run("create temporary table products (id integer); insert into pg_temp.products values (7)")
    #expect(try await pool.integer("select count(*) from flashsale.read_products(null)") == 0)
    let unfixed = try await pool.integer(
      """
      select count(*) from pg_proc
      where pronamespace = 'flashsale'::regnamespace and prosecdef
        and (proconfig @> array['search_path=pg_catalog, flashsale, pg_temp']) is not true
      """)
    #expect(unfixed == 0)
    await pool.close()
  }

  /// PostgreSQL logs statements that fail, and all statements when `log_statement` is set.
  @Test func `PostgreSQL's log does not show the password of the servers' role`() async throws {
    let directory = temporaryDirectory()
    let rules = directory + ".conf"
    try "local all flashsale trust\nlocal all clerk trust\nlocal all all scram-sha-256\n".write(
      toFile: rules, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: rules) }
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: rules)
    let settings = [
      "fsync": "off", "hba_file": rules, "log_statement": "all", "log_min_error_statement": "error",
      "log_parameter_max_length_on_error": "-1", "password_encryption": "md5",
    ]
    var logger = Logger(label: "tests")
    logger.logLevel = .error
    try await LocalPostgres.withServer(directory: directory, ephemeral: true, settings: settings, logger: logger) {
      server in
      let url = server.databaseURL()
      let role = ServerRole(name: "shop", password: Secret("hunter2 'quoted'"))
      _ = try await Migrator(ConnectionConfiguration(url: url)).migrate(serverRole: role)
      let shop = url.replacing("//flashsale@", with: "//shop:hunter2%20%27quoted%27@")
      try await servingAs(shop) { checkout async throws in #expect(try await checkout.products().isEmpty) }
      // The role clerk may not change roles.
      let owner = Pool(ConnectionConfiguration(url: url), size: 1)
      try await owner.run(
        "create role clerk login; grant connect, create on database flashsale to clerk; drop schema flashsale cascade")
      let clerk = ConnectionConfiguration(url: url.replacing("//flashsale@", with: "//clerk@"))
      let error = await #expect(throws: PostgresError.self) { try await Migrator(clerk).migrate(serverRole: role) }
      #expect("\(String(describing: error))".contains("42501"))
      await owner.close()
      let log = try String(contentsOfFile: directory + "/postgres.log", encoding: .utf8)
      #expect(log.contains("SCRAM-SHA-256$") && log.contains("alter role shop password"))
      #expect(!log.contains("hunter2") && !"\(String(describing: error))".contains("hunter2"))
    }
  }

  private func servingAs(_ url: String, _ body: @escaping @Sendable (Checkout) async throws -> Void) async throws {
    let connection = ConnectionConfiguration.checkout(url: url)
    let checkout = Checkout(
      database: Pool(connection), configuration: Checkout.Configuration(listener: connection),
      logger: Logger(label: "test"))
    let running = Task { try await checkout.run() }
    defer { running.cancel() }
    try await body(checkout)
  }

  @Test(.database) func `public may not call any function`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    let open = try await pool.integer(
      """
      select count(*) from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'flashsale'::regnamespace and a.grantee = 0
      """)
    #expect(open == 0)
    await pool.close()
  }

  @Test(.database) func `the servers' role can call a function after its replacement`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run("update schema_files set checksum = 'old' where name = 'read_products'")
    #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == ["read_products"])
    let products = try await withCheckout(on: url) { checkout, _ in try await checkout.products() }
    #expect(products.isEmpty)
    await pool.close()
  }
}
