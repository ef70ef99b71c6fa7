import Checkout
import Postgres
import TestSupport
import Testing

private let orderID = "00000001-6b02-8f00-9e3e-db626b23aa96"

@Suite struct ServerRoleTests {
  /// What a server must not do, beside what `withCheckout` shows it can.
  @Test(arguments: [
    "select * from holds", "select * from products", "update products set available_stock = 1",
    "insert into scheduled_jobs values (1, 'expire_holds', now())", "delete from payment_events",
    "create table public.t (i integer)", "create function public.f() returns int language sql as 'select 1'",
    "select expire_holds(1, 1)", "select settle_payment_events(1, null, null, null, null)",
    "update schema_files set checksum = ''", "drop function read_products",
  ])
  func aServersRoleIsRefused(statement: String) async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
      let error = await #expect(throws: PostgresError.self) { try await pool.run(statement) }
      guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
      #expect(refusal.sqlState == "42501")
      await pool.close()
    }
  }

  /// Servers check what clients send. Whoever calls the functions by themselves must not get around that.
  @Test(arguments: [
    // Arrays of different lengths, of two dimensions, with another first index.
    "apply_payment_events(1, '{a,b}', '{\(orderID)}', '{success}', '{null}', '{null}')",
    "apply_payment_events(1, '{a}', '{\(orderID)}', '{success}', '{null,null}', '{null}')",
    "apply_payment_events(1, '{{a},{b}}', '{{\(orderID)},{\(orderID)}}', '{{success},{failed}}', '{{null},{null}}', '{{null},{null}}')",
    "apply_payment_events(1, '[0:0]={a}', '[0:0]={\(orderID)}', '[0:0]={success}', '[0:0]={null}', '[0:0]={null}')",
    "apply_payment_events(1, '{}', '{}', '{}', '{}', '{}')", "apply_payment_events(1, null, null, null, null, null)",
    "apply_payment_events(1, '{a}', '{\(orderID)}', '{success}', '{-1}', '{null}')",
    "list_payment_events(null, null, null, null, null, null)", "list_payment_events(null, null, null, null, null, -1)",
    "list_payment_events(null, null, null, null, null, 100000)", "list_payment_events(null, 1, null, null, null, 10)",
    "run_due_jobs(false, null, 0, 0, 0)", "run_due_jobs(false, 0, 0, 0, 0)", "run_due_jobs(true, 1000000, 0, 0, 0)",
    "restock_product(1, 0)", "restock_product(1, null)", "restock_product(1, -2147483648)",
  ])
  func `arguments out of bounds are refused`(call: String) async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: TestDatabases.serverURL(url)), size: 1)
      let error = await #expect(throws: PostgresError.self) { try await pool.run("select flashsale.\(call)") }
      guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
      #expect(refusal.sqlState == "22023")
      await pool.close()
    }
  }

  /// A table of the caller's own must not stand in for one of the checkout.
  @Test func theSearchPathOfFunctionsIsFixed() async throws {
    try await TestDatabases.withDatabase { url in
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
  }

  @Test func noErrorTellsThePassword() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        create role clerk login;
        grant create on schema public to clerk;
        grant select on schema_files to clerk;
        create role shop;
        """)
      let migrator = Migrator(ConnectionConfiguration(url: url.replacing("//flashsale@", with: "//clerk@")))
      let error = await #expect(throws: PostgresError.self) {
        try await migrator.migrate(serverRole: ServerRole(name: "shop", password: "hunter2"))
      }
      let text = "\(String(describing: error))"
      #expect(text.contains("42501") && !text.contains("hunter2"), "\(text)")
      try await pool.run("drop owned by clerk; drop role clerk; drop role shop")
      await pool.close()
    }
  }

  @Test func othersCanCallNothing() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      let open = try await pool.integer(
        """
        select count(*) from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = 'flashsale'::regnamespace and a.grantee = 0
        """)
      #expect(open == 0)
      await pool.close()
    }
  }

  @Test func accessOutlivesTheReplacementOfAFunction() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run("update schema_files set checksum = 'old' where name = 'read_products'")
      #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == ["read_products"])
      let products = try await withCheckout(on: url) { checkout, _ in try await checkout.products() }
      #expect(products.isEmpty)
      await pool.close()
    }
  }
}
