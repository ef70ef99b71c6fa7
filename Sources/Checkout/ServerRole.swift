import Postgres
import Secrets

/// A role of the database for servers: it can call the functions that are the use cases, and see which files of SQL have
/// been applied. It owns nothing, and can neither read a table of the checkout nor change one.
///
/// The functions run with the rights of their owner (`security definer`), each with a fixed search path, so that nobody
/// can put a table or operator of his own in the way.
public struct ServerRole: Sendable {
  private let name: String
  private let password: Secret?

  /// - Parameters:
  ///   - name: made, and able to log in, when there is no such role.
  ///   - password: nil leaves the role's as it is.
  public init(name: String, password: Secret? = nil) {
    self.name = name
    self.password = password
  }

  /// To be called inside a transaction of the migrator.
  ///
  /// - Throws: `PostgresError`, such as when the connection's role may not create roles.
  func grantAccess(on connection: Connection) async throws {
    let (identifier, statements) = try await connection.execute(Preparation(role: self))[0]
    for statement in statements { try await connection.executeScript(statement, name: Preparation.name) }
    let others = try await Self.all(on: connection)
    try await Self.restrictFunctions(to: Set(others + [identifier]).sorted(), on: connection)
  }

  /// The roles, as SQL identifiers, that may call functions of the checkout beside the owner.
  static func all(on connection: Connection) async throws -> [String] {
    try await connection.execute(ReadRoles())
  }

  /// Lets `roles` call the use cases, nobody else, and nobody at all what they are made of.
  ///
  /// - Parameter roles: SQL identifiers.
  static func restrictFunctions(to roles: [String], on connection: Connection) async throws {
    for statement in try await connection.execute(Restrictions(roles: roles)) {
      try await connection.executeScript(statement)
    }
  }

  private static let functionNames = SQLFile.functions.map(\.key.name)

  /// Yields the role as an SQL identifier, and the statements that make it, if need be, and let it in.
  private struct Preparation: PreparedStatement {
    static let name = "prepare_server_role"
    static let sql = """
      select format('%I', $1::text), array_remove(array[
        case when not exists (select from pg_roles where rolname = $1::text) then
          format('create role %I login', $1::text) end,
        case when $2::text is not null then format('alter role %I password %L', $1::text, $2::text) end,
        format('grant usage on schema flashsale to %I', $1::text),
        format('grant select on flashsale.schema_files to %I', $1::text)], null)
      """
    let role: ServerRole

    func bind(to parameters: inout Parameters) {
      parameters.append(role.name)
      parameters.append(role.password?.revealed())
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
      """
    func bind(to parameters: inout Parameters) { parameters.append(ServerRole.functionNames) }
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
