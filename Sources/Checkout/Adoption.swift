import Postgres

/// Moves an installation of an older version, which kept everything in the schema `public`, into the schema of its own.
///
/// It is part of the migrator's transaction. Servers of the older version fail from its commit on, since the functions that
/// they call are gone: they cannot be left where others may create.
enum Adoption {
  /// What is moved. Sequences and indexes come along with their tables.
  static let tables = [
    "products", "holds", "orders", "ordered_stock", "payment_events", "idempotency_keys", "scheduled_jobs",
    "schema_files",
  ]

  /// - Returns: the roles, as SQL identifiers, that could call functions before, and are to have access again.
  /// - Throws: `MigrationError.schemaIsNotOurs`, `PostgresError`.
  static func adopt(on connection: isolated Connection) throws -> [String] {
    guard try connection.run(IsDue()).first == true else { return [] }
    // The record may be a view of another role. It is read only after this check.
    try SchemaInspection.verify(.shared, on: connection)
    guard try connection.run(IsFlashSale()).first == true else { return [] }
    let roles = try ServerRole.all(in: "public", on: connection)
    for statement in try connection.run(Moves()) { try connection.executeScript(statement) }
    // All of them are made anew in the new schema.
    try connection.executeScript("delete from flashsale.schema_files where kind = 'function'")
    return roles
  }

  private struct IsDue: PreparedStatement {
    static let name = "is_adoption_due"
    static let sql = """
      select to_regclass('flashsale.schema_files') is null and count(*) = 2
      from pg_attribute
      where attrelid = to_regclass('public.schema_files') and attname in ('kind', 'checksum') and not attisdropped
      """
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  /// Others may have a table of this name, too.
  private struct IsFlashSale: PreparedStatement {
    static let name = "is_flashsale"
    static let sql =
      "select exists (select from public.schema_files where kind = 'migration' and name = '0001_checkout')"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  private struct Moves: PreparedStatement {
    static let name = "adopt"
    static let sql = """
      select format('alter table public.%I set schema flashsale', c.relname)
      from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname = any ($1::text[])
      union all
      select format('drop function %s', p.oid::regprocedure)
      from pg_proc p
      join public.schema_files f on f.kind = 'function' and f.name = p.proname
      where p.pronamespace = 'public'::regnamespace and pg_get_userbyid(p.proowner) = current_user
      """
    func bind(to parameters: inout Parameters) { parameters.append(tables) }
    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }
}
