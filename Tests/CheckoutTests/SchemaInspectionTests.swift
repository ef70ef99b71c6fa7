import Postgres
import TestSupport
import Testing

@testable import Checkout

/// A stranger may connect to the database and create objects in `public`, as every role could up to PostgreSQL 14.
@Suite struct SchemaInspectionTests {
  /// Roles belong to the whole PostgreSQL server, and tests run in parallel.
  private static let makeStranger = """
    do $$ begin create role stranger login; exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role "shop owner" login createrole; exception when duplicate_object or unique_violation then null; end $$;
    """

  private func url(_ url: String, as role: String) -> String { url.replacing("//flashsale@", with: "//\(role)@") }

  /// Lends an empty database whose owner is not a superuser: its name, its URL, and a superuser's pool.
  private func withOwnedDatabase(
    _ body: @escaping @Sendable (_ name: String, _ url: String, Pool) async throws -> Void
  ) async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let name = String(url.split(separator: "/").last!)
      var configuration = ConnectionConfiguration(url: url)
      configuration.parameters["search_path"] = "public"
      let pool = Pool(configuration, size: 1)
      try await pool.run(
        Self.makeStranger + "alter database \(name) owner to \"shop owner\"; grant create on schema public to public")
      try await body(name, url, pool)
      await pool.close()
    }
  }

  @Test func `functions do not call a stranger's functions in public`() async throws {
    try await withOwnedDatabase { _, url, pool in
      let stranger = Pool(ConnectionConfiguration(url: self.url(url, as: "stranger")), size: 1)
      // Their parameters are more specific than those of PostgreSQL's functions, which accept any array.
      try await stranger.run(
        """
        create function public.cardinality(uuid[]) returns integer language plpgsql as
          'begin raise exception $$ran as %$$, current_user; end';
        create function public.cardinality(text[]) returns integer language plpgsql as
          'begin raise exception $$ran as %$$, current_user; end';
        create function public.array_fill(text, integer[]) returns text[] language plpgsql as
          'begin raise exception $$ran as %$$, current_user; end';
        create function public.unnest(uuid[]) returns setof uuid language plpgsql as
          'begin raise exception $$ran as %$$, current_user; end';
        """)
      await stranger.close()
      let owner = ConnectionConfiguration(url: self.url(url, as: "shop%20owner"))
      _ = try await Migrator(owner).migrate(serverRole: TestDatabases.serverRole)
      try await withCheckout(on: url) { checkout, _ in
        let product = try await checkout.newProduct(stock: 5)
        let hold = try await checkout.hold(1, of: product, idempotencyKey: "key")
        _ = try await checkout.pay(checkout.order(hold).id, key: "payment")
        _ = try await checkout.releaseHold(checkout.hold(1, of: product).id)
        #expect(await checkout.readiness() == .ready)
        try await checkout.expectCleanAudit()
      }
    }
  }

  @Test func `after the migration only the owner and the servers' role may connect`() async throws {
    try await withOwnedDatabase { name, url, pool in
      let owner = ConnectionConfiguration(url: self.url(url, as: "shop%20owner"))
      _ = try await Migrator(owner).migrate(serverRole: TestDatabases.serverRole)
      let stranger = Pool(ConnectionConfiguration(url: self.url(url, as: "stranger")), size: 1)
      let error = await #expect(throws: PostgresError.self) { try await stranger.run("select pg_advisory_lock(1)") }
      #expect("\(String(describing: error))".contains("permission denied for database"))
      await stranger.close()
      for privilege in ["CONNECT", "TEMPORARY", "CREATE"] {
        let isOpen = try await pool.integer("select has_database_privilege('stranger', '\(name)', '\(privilege)')::int")
        #expect(isOpen == 0, "\(privilege)")
      }
      // The servers' role may connect, and may not create temporary tables.
      let server = TestDatabases.serverRoleName
      #expect(try await pool.integer("select has_database_privilege('\(server)', '\(name)', 'CONNECT')::int") == 1)
      #expect(try await pool.integer("select has_database_privilege('\(server)', '\(name)', 'TEMPORARY')::int") == 0)
    }
  }

  /// - Parameters:
  ///   - trap: creates the stranger's objects.
  ///   - told: a part of the error, which is one line.
  @Test(arguments: [
    ("create schema flashsale authorization stranger", "the schema flashsale belongs to the role stranger"),
    (
      """
      create schema flashsale authorization "shop owner"; create table flashsale.schema_files (kind text, name text, checksum text);
      alter table flashsale.schema_files owner to stranger
      """, "the relation flashsale.schema_files belongs to the role stranger"
    ),
    (
      """
      create schema flashsale authorization "shop owner";
      create view flashsale.schema_files as select 'migration' as kind, '0001_checkout' as name, '' as checksum;
      alter view flashsale.schema_files owner to stranger
      """, "the relation flashsale.schema_files belongs to the role stranger"
    ),
  ])
  func `objects that a stranger made before the first migration are refused`(trap: String, told: String) async throws {
    try await withOwnedDatabase { _, url, pool in
      try await pool.run(trap)
      let owner = ConnectionConfiguration(url: self.url(url, as: "shop%20owner"))
      let error = await #expect(throws: MigrationError.self) { try await Migrator(owner).migrate() }
      let text = "\(String(describing: error?.description))"
      #expect(text.contains(told) && !text.contains("\n"), "\(text)")
    }
  }

  @Test(
    .database,
    arguments: [
      ("grant create on schema flashsale to stranger", "stranger may create in the schema flashsale"),
      ("grant create on schema flashsale to public", "public may create in the schema flashsale"),
      (
        "create table flashsale.t (); alter table flashsale.t owner to stranger",
        "flashsale.t belongs to the role stranger"
      ),
      (
        "create function flashsale.cardinality(uuid[]) returns int language sql as 'select 1'",
        "the function flashsale.cardinality is not known"
      ),
      (
        "create function flashsale.read_products(text) returns int language sql as 'select 1'",
        "several functions flashsale.read_products"
      ),
      ("alter function flashsale.read_products(integer[]) owner to stranger", "belongs to the role stranger"),
      (
        "create domain flashsale.d as text; alter domain flashsale.d owner to stranger",
        "d belongs to the role stranger"
      ),
      (
        """
        create function public.spy() returns trigger language plpgsql as 'begin return null; end';
        create trigger spy after insert on flashsale.holds execute function public.spy()
        """, "flashsale.holds has the trigger spy"
      ),
      ("create rule spy as on insert to flashsale.holds do also select 1", "flashsale.holds has the rule spy"),
      ("alter table flashsale.holds enable row level security", "flashsale.holds has row level security"),
    ])
  func `foreign objects in the checkout's schema are refused`(trap: String, told: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(Self.makeStranger + trap)
    let error = await #expect(throws: MigrationError.self) {
      try await Migrator(ConnectionConfiguration(url: url)).migrate()
    }
    let text = "\(String(describing: error?.description))"
    #expect(text.contains(told) && !text.contains("\n"), "\(text)")
    await pool.close()
  }

  @Test(.database) func `a retired function is still accepted`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      """
      create function flashsale.retired() returns int language sql as 'select 1';
      insert into flashsale.schema_files (kind, name, checksum) values ('function', 'retired', 'x')
      """)
    #expect(try await Migrator(ConnectionConfiguration(url: url)).migrate() == [])
    await pool.close()
  }
}
