import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Installations of versions that kept everything in the schema `public`.
@Suite struct AdoptionTests {
  /// What the last of these versions had applied.
  private static let lastMigration = "0007_hot_rows_are_vacuumed"

  /// An order of two units that is paid, of ten, and functions that a servers' role may call. What they did does not matter:
  /// they are all made anew.
  private static let older = """
    insert into products (name, price, currency, total_stock, available_stock) values ('Cap', 100, 'USD', 10, 8);
    insert into holds (product_id, id, quantity, status, expires_at)
    values (1, '\(hold)', 2, 'ordered', clock_timestamp());
    insert into orders (product_id, id, quantity, amount, currency, status, payment_due_at, created_at, paid_at)
    values (1, '\(hold)', 2, 200, 'USD', 'paid', clock_timestamp(), clock_timestamp(), clock_timestamp());
    insert into ordered_stock (product_id, units) values (1, 2);
    insert into payment_events (
        idempotency_key, product_id, order_id, status, verdict, order_status, received_at)
    values ('before', 1, '\(hold)', 'success', 'applied', 'paid', clock_timestamp());
    insert into idempotency_keys (product_id, key, operation, reservation_id, created_at)
    values (1, 'cart', 'reserve_hold', '\(hold)', clock_timestamp());
    insert into scheduled_jobs (product_id, kind, run_at) values (1, 'remove_old', clock_timestamp());

    create function read_products(integer[]) returns integer language sql security definer as 'select 1';
    create function run_next_job(integer, bigint, bigint, bigint) returns integer language sql security definer as 'select 1';
    create function lapsed_units(integer, timestamptz) returns bigint language sql as 'select 1::bigint';
    insert into schema_files (kind, name, checksum)
    select 'function', name, 'older' from unnest(array['read_products', 'run_next_job', 'lapsed_units']) name;
    grant usage on schema public to \(TestDatabases.serverRoleName);
    grant select on schema_files to \(TestDatabases.serverRoleName);
    grant execute on function read_products, run_next_job to \(TestDatabases.serverRoleName)
    """
  private static let hold = "00000001-6b02-8f00-9e3e-db626b23aa96"

  private func withOlder(_ body: @escaping @Sendable (_ url: String, Pool) async throws -> Void) async throws {
    try await TestDatabases.withEmptyDatabase { url in
      var configuration = ConnectionConfiguration(url: url)
      configuration.parameters["search_path"] = "public"
      let pool = Pool(configuration, size: 2)
      try await pool.run(
        """
        create table schema_files (
            kind text not null, name text not null, checksum text not null, applied_at timestamptz not null default now(),
            constraint schema_files_pkey primary key (kind, name),
            constraint schema_files_kind_known check (kind in ('migration', 'function')))
        """)
      for file in SQLFile.migrations where file.key.name <= Self.lastMigration {
        try await pool.run(file.text)
        try await pool.run(
          """
          insert into schema_files (kind, name, checksum) values ('migration', '\(file.key.name)', '\(file.checksum)')
          """)
      }
      try await pool.run(Self.older)
      try await body(url, pool)
      await pool.close()
    }
  }

  @Test func `an older installation is moved into the schema of its own and sells on`() async throws {
    try await withOlder { url, pool in
      let applied = try await Migrator(ConnectionConfiguration(url: url)).migrate()
      #expect(Set(applied).isSuperset(of: SQLFile.functions.map(\.key.name)) && !applied.contains("0001_checkout"))
      let left = try await pool.integer(
        """
        select (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)
             + (select count(*) from pg_class where relnamespace = 'public'::regnamespace)
        """)
      #expect(left == 0)
      // As the servers' role, which was not named again.
      try await withCheckout(on: url) { checkout, _ in
        #expect(try await checkout.product(1)?.availableStock == 8)
        let product = try await checkout.newProduct(stock: 1)
        #expect(product.id == 2)
        _ = try await checkout.order(1, of: product)
        #expect(await checkout.readiness() == .ready)
        try await checkout.expectCleanAudit()
      }
      #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == [])
    }
  }

  @Test(arguments: [
    "create trigger spy after insert on public.schema_files execute function public.spy()": "trigger spy",
    "create rule spy as on insert to public.orders do also select 1": "rule spy",
    "alter table public.holds enable row level security": "row level security",
    "alter table public.products owner to stranger_of_adoption": "stranger_of_adoption",
    "alter table public.schema_files owner to stranger_of_adoption": "stranger_of_adoption",
    "create schema flashsale authorization stranger_of_adoption": "stranger_of_adoption",
  ])
  func `what a stranger left at an older installation is refused`(trap: String, told: String) async throws {
    try await withOlder { url, pool in
      try await pool.run(Self.makeStranger)
      try await pool.run(
        "create function public.spy() returns trigger language plpgsql as 'begin raise exception $$spied$$; end'; \(trap)"
      )
      let error = await #expect(throws: MigrationError.self) {
        try await Migrator(ConnectionConfiguration(url: url)).migrate()
      }
      let text = "\(String(describing: error))"
      #expect(text.contains(told) && !text.contains("\n"), "\(text)")
      #expect(try await pool.integer("select count(*) from public.orders") == 1)
    }
  }

  /// Roles are the server's, and tests run beside each other.
  private static let makeStranger = """
    do $$ begin create role stranger_of_adoption; exception when duplicate_object or unique_violation then null; end $$
    """

  @Test func `a table of others with the name of the record is left alone`() async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      try await pool.run(
        """
        create table public.schema_files (kind text, checksum text, name text);
        insert into public.schema_files values ('migration', 'x', 'theirs');
        create table public.products (id integer);
        """)
      _ = try await Migrator(ConnectionConfiguration(url: url)).migrate()
      #expect(try await pool.integer("select count(*) from public.schema_files") == 1)
      #expect(try await pool.integer("select count(*) from public.products") == 0)
      await pool.close()
    }
  }
}
