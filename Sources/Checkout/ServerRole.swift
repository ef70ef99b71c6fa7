import Postgres
import Secrets

/// A role of the database for servers: it can call the functions that are the use cases, and see which files of SQL have
/// been applied. It owns nothing, and can neither read a table of the checkout nor change one.
///
/// The functions run with the rights of their owner (`security definer`), each with a fixed search path, so that nobody
/// can put a table or operator of his own in the way.
package struct ServerRole: Sendable {
  private let name: String
  private let password: Secret?

  /// - Parameters:
  ///   - name: made, and able to log in, when there is no such role.
  ///   - password: nil leaves the role's as it is.
  package init(name: String, password: Secret? = nil) {
    self.name = name
    self.password = password
  }

  /// To be called inside a transaction of the migrator.
  ///
  /// - Throws: `PostgresError`, such as when the connection's role may not create roles.
  func grantAccess(on connection: isolated Connection) throws {
    // PostgreSQL writes statements to its log, when they fail and whenever `log_statement` says so. The verifier is what it
    // would have stored anyway, and nobody can log in with it.
    let verifier = try password.map { try connection.passwordVerifier($0.revealed(), role: name) }
    let (identifier, statements) = try connection.run(Preparation(name: name, verifier: verifier))[0]
    for statement in statements { try connection.executeScript(statement, name: Preparation.name) }
    try Self.grantAccess(to: Set(try Self.all(on: connection) + [identifier]).sorted(), on: connection)
  }

  /// The roles, as SQL identifiers, that may call functions of the checkout beside the owner.
  static func all(on connection: isolated Connection) throws -> [String] {
    try connection.run(ReadRoles())
  }

  /// Lets `roles` in and call the use cases; nobody else, and nobody at all what use cases are made of.
  ///
  /// - Parameter roles: SQL identifiers.
  static func grantAccess(to roles: [String], on connection: isolated Connection) throws {
    for statement in try connection.run(Grants(roles: roles)) { try connection.executeScript(statement) }
    for statement in try connection.run(Restrictions(roles: roles)) { try connection.executeScript(statement) }
  }

  private static let functionNames = SQLFile.functions.map(\.key.name)

  /// Yields the role as an SQL identifier, and the statements that make it, if need be, and set its password.
  private struct Preparation: PreparedStatement {
    static let name = "prepare_server_role"
    static let sql = """
      select format('%I', $1::text), array_remove(array[
        case when not exists (select from pg_roles where rolname = $1::text) then
          format('create role %I login', $1::text) end,
        case when $2::text is not null then format('alter role %I password %L', $1::text, $2::text) end], null)
      """
    let name: String
    let verifier: String?

    func bind(to parameters: inout Parameters) {
      parameters.append(name)
      parameters.append(verifier)
    }

    static func decode(_ row: inout Row) throws -> (String, [String]) {
      (try row.decode(), try row.decode())
    }
  }

  private struct ReadRoles: PreparedStatement {
    static let name = "read_server_roles"
    static let sql = """
      select distinct quote_ident(r.rolname)
      from pg_proc p
      cross join aclexplode(p.proacl) a
      join pg_roles r on r.oid = a.grantee
      where p.pronamespace = 'flashsale'::regnamespace and p.proname = any ($1::text[]) and r.oid <> p.proowner
        and pg_get_userbyid(p.proowner) = current_user
      """

    func bind(to parameters: inout Parameters) {
      parameters.append(ServerRole.functionNames)
    }

    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }

  /// Yields statements that let `roles` into the database and its schema, and nobody else into the database: a stranger could
  /// take the locks that servers wait for. Nothing of the database where the connection's role does not own it.
  private struct Grants: PreparedStatement {
    static let name = "grant_access"
    static let sql = """
      with database as (
        select d.datname, exists (
          select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a where a.grantee = 0) as is_open
        from pg_database d
        where d.datname = current_database() and pg_has_role(current_user, d.datdba, 'usage')
      )
      select format('grant usage on schema flashsale to %s', $1::text) where $1::text <> ''
      union all
      select format('grant select on flashsale.schema_files to %s', $1::text) where $1::text <> ''
      union all
      select format('grant connect on database %I to %s', datname, $1::text) from database where $1::text <> ''
      union all
      select format('revoke all on database %I from public', datname) from database where is_open
      """
    let roles: [String]
    func bind(to parameters: inout Parameters) { parameters.append(roles.joined(separator: ", ")) }
    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }

  /// Yields statements that leave the functions to `roles`.
  private struct Restrictions: PreparedStatement {
    static let name = "restrict_functions"
    static let sql = """
      select format('revoke all on function %s from public', p.oid::regprocedure)
        || case
          when p.prosecdef and $2::text <> '' then
            format('; grant execute on function %s to %s', p.oid::regprocedure, $2::text)
          else ''
        end
      from pg_proc p
      where p.pronamespace = 'flashsale'::regnamespace and p.proname = any ($1::text[])
      """
    let roles: [String]

    func bind(to parameters: inout Parameters) {
      parameters.append(ServerRole.functionNames)
      parameters.append(roles.joined(separator: ", "))
    }

    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }
}
