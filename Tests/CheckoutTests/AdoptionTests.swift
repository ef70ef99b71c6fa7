import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Installations of versions that kept everything in the schema `public`.
@Suite struct AdoptionTests {
  /// Takes a database back to how such a version left it: tables and functions in `public`, open to everybody, and a server
  /// role with access.
  private static let older = """
    set check_function_bodies = off;
    do $$
    declare
        v_name text;
        v_function text;
    begin
        foreach v_name in array array['\(Adoption.tables.joined(separator: "','"))'] loop
            execute format('alter table flashsale.%I set schema public', v_name);
        end loop;
        for v_name, v_function in
            select p.oid::regprocedure, pg_get_functiondef(p.oid) from pg_proc p
            where p.pronamespace = 'flashsale'::regnamespace
        loop
            execute replace(replace(v_function, 'FUNCTION flashsale.', 'FUNCTION public.'),
                            'search_path TO ''pg_catalog'', ''flashsale''', 'search_path TO ''public''');
        end loop;
        drop schema flashsale cascade;
        for v_name in
            select p.oid::regprocedure from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef
        loop
            execute format('grant execute on function %s to \(TestDatabases.serverRoleName)', v_name);
        end loop;
        update public.schema_files set checksum = 'older' where name like 'reserve%';
    end
    $$
    """

  private func withOlder(_ body: @escaping @Sendable (_ url: String, Pool) async throws -> Void) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let product = try await checkout.newProduct(stock: 10)
        _ = try await checkout.pay(checkout.order(2, of: product).id, key: "before")
      }
      var configuration = ConnectionConfiguration(url: url)
      configuration.parameters["search_path"] = "public"
      let pool = Pool(configuration, size: 2)
      try await pool.run(Self.older)
      #expect(try await pool.integer("select count(*) from public.orders") == 1)
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
