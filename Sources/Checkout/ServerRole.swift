import Postgres
import Secrets

/// A database role for servers. It may call the use cases' functions and read `schema_files`. It has no other right on
/// the tables, and owns nothing.
///
/// The functions run with the rights of their owner (`security definer`). A fixed search path prevents a caller from
/// substituting a table or an operator.
package struct ServerRole: Sendable {
  private let name: String
  private let password: Secret?

  /// - Parameters:
  ///   - name: a role that does not exist is created with the right to log in.
  ///   - password: nil leaves the role's password unchanged.
  package init(name: String, password: Secret? = nil) {
    self.name = name
    self.password = password
  }

  /// Creates the role if it does not exist, sets its password and grants it access. Call it inside a transaction of the
  /// migrator.
  ///
  /// - Throws: `PostgresError`, for example when the connection's role may not create roles.
  func grantAccess(on connection: isolated Connection) throws {
    // PostgreSQL logs statements that fail, and others by `log_statement`. So the statement has the verifier that
    // PostgreSQL stores instead of the password. No client can log in with a verifier.
    let verifier = try password.map { try connection.passwordVerifier($0.revealed(), role: name) }
    let (identifier, statements) = try connection.run(Preparation(name: name, verifier: verifier))[0]
    for statement in statements { try connection.executeScript(statement, name: Preparation.name) }
    try Self.grantAccess(to: Set(try Self.all(on: connection) + [identifier]).sorted(), on: connection)
  }

  /// The roles other than the owner that may call functions of the checkout, as SQL identifiers.
  static func all(on connection: isolated Connection) throws -> [String] {
    try connection.run(ReadRoles())
  }

  /// Grants access to the database and the use cases' functions to `roles` only. No role but the owner may call other
  /// functions.
  ///
  /// - Parameter roles: SQL identifiers.
  static func grantAccess(to roles: [String], on connection: isolated Connection) throws {
    for statement in try connection.run(Grants(roles: roles)) { try connection.executeScript(statement) }
    for statement in try connection.run(Restrictions(roles: roles)) { try connection.executeScript(statement) }
  }

  private static let functionNames = SQLFile.functions.map(\.key.name)

  /// Returns the role as an SQL identifier, with statements that create it and set its password. A role that exists is
  /// not created.
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

  /// Returns statements that grant `roles` access to the database and the schema. They also revoke the public's access
  /// to the database, because any session could take the locks that servers wait for. If the connection's role does not
  /// own the database, they change no rights on the database.
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

  /// Returns statements that revoke the functions from the public, and grant the use cases' functions to `roles`.
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
