import Postgres

/// Looks for objects of other roles in the schema `flashsale`.
///
/// The checkout's functions run with their owner's rights. PostgreSQL prefers a function whose parameter types match
/// exactly, in any schema of the search path. So a role that may create functions in one of these schemas could run
/// code as the owner. Therefore only the owner may create objects in `flashsale`, and unknown functions are refused.
enum SchemaInspection {
  private static let tables = [
    "admin_changes", "admin_idempotency_keys", "admin_keys", "admin_sessions", "customer_erasures", "deliveries",
    "event_batches", "event_feed", "events", "holds", "idempotency_keys", "minimum_retention", "ordered_stock",
    "orders", "payment_events", "products", "refunds", "scheduled_jobs", "schema_files", "webhook_endpoints",
  ]

  /// - Throws: `MigrationError.schemaIsNotOurs` for the first thing found, `PostgresError`.
  static func verify(on connection: isolated Connection) throws {
    if let finding = try connection.run(FindForeignObject()).first {
      throw MigrationError.schemaIsNotOurs(finding: finding)
    }
    // `schema_files` may be read now: the statement above has checked that it is a table of the owner.
    let known = SQLFile.functions.map(\.key.name) + (try SchemaStatus.recordedFunctions(on: connection))
    if let finding = try connection.run(FindUnknownFunction(known: known)).first {
      throw MigrationError.schemaIsNotOurs(finding: finding)
    }
  }

  private struct FindForeignObject: PreparedStatement {
    static let name = "find_foreign_object"
    /// Run it with a search path in which no other role may create objects. Owners are compared with the role itself,
    /// because a superuser has the rights of every role.
    static let sql = """
      with me as (select r.oid from pg_roles r where r.rolname = current_user),
      here as (select n.oid, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'flashsale'),
      tables as (
        select c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity
        from pg_class c join here on c.relnamespace = here.oid
        where c.relkind <> 'i'
      )
      select format('the schema flashsale belongs to the role %I', pg_get_userbyid(here.nspowner))
      from here, me where here.nspowner <> me.oid
      union all
      select format('the relation flashsale.%I belongs to the role %I', t.relname, pg_get_userbyid(t.relowner))
      from tables t, me where t.relowner <> me.oid
      union all
      select format('the relation flashsale.%I is not a table', t.relname)
      from tables t where t.relname = any ($1::text[]) and t.relkind <> 'r'
      union all
      select format('the table flashsale.%I has the trigger %I', t.relname, g.tgname)
      from pg_trigger g join tables t on t.oid = g.tgrelid where not g.tgisinternal
      union all
      select format('the table flashsale.%I has the rule %I', t.relname, w.rulename)
      from pg_rewrite w join tables t on t.oid = w.ev_class where t.relkind = 'r'
      union all
      select format('the table flashsale.%I has row level security', t.relname)
      from tables t where t.relrowsecurity
      union all
      select format('the function %s belongs to the role %I', p.oid::regprocedure, pg_get_userbyid(p.proowner))
      from pg_proc p join here on p.pronamespace = here.oid, me
      where p.proowner <> me.oid
      union all
      -- Operators, types and whatever else can be in a schema.
      select format('the %s %s belongs to the role %I', i.type, i.identity, pg_get_userbyid(d.refobjid))
      from me, pg_shdepend d
      cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
      where d.dbid = (select oid from pg_database where datname = current_database())
        and d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and d.refobjid <> me.oid
        and i.schema = 'flashsale'
      union all
      select format('the role %s may create in the schema flashsale', coalesce(quote_ident(r.rolname), 'public'))
      from here cross join aclexplode(here.nspacl) a left join pg_roles r on r.oid = a.grantee
      where a.privilege_type = 'CREATE' and a.grantee <> here.nspowner
      limit 1
      """

    func bind(to parameters: inout Parameters) { parameters.append(SchemaInspection.tables) }

    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }

  /// A second function with the same name has other parameters. A call could choose it.
  private struct FindUnknownFunction: PreparedStatement {
    static let name = "find_unknown_function"
    static let sql = """
      select case
          when p.proname = any ($1::text[]) then format('there are several functions flashsale.%I', p.proname)
          else format('the function flashsale.%I is not known', p.proname)
        end
      from pg_proc p
      where p.pronamespace = 'flashsale'::regnamespace
      group by p.proname
      having p.proname <> all ($1::text[]) or count(*) > 1
      limit 1
      """
    let known: [String]
    func bind(to parameters: inout Parameters) { parameters.append(known) }
    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }
}
