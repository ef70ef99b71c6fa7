import Postgres

/// Applies the migrations and functions that a database lacks.
///
/// Each migration runs once, in the order of the names. A function is replaced when its text has changed. All files are
/// applied in one transaction, so a server sees the old schema or the new one. Functions without a file stay, because
/// older servers may still call them. Several migrators may run at once. The transaction first takes an advisory lock,
/// then reads what is missing.
///
/// The role that connects owns everything in the schema `flashsale`. No other role may create objects there. A server
/// uses a role with the access that `ServerRole` grants. The role keeps that access when functions are replaced.
package struct Migrator: Sendable {
  /// The advisory lock on the schema. Any number works that no other lock uses. This one is "flashsal" in ASCII.
  private static let lockKey: Int64 = 0x666c_6173_6873_616c

  private let database: Pool

  /// - Parameter configuration: its role must be allowed to create the schema. Its time limits are replaced by longer
  ///   ones.
  package init(_ configuration: ConnectionConfiguration) {
    var configuration = configuration
    configuration.statementTimeout = .seconds(600)
    configuration.lockTimeout = .seconds(60)
    configuration.idleInTransactionTimeout = .seconds(60)
    configuration.fixCheckoutParameters()
    database = Pool(configuration, size: 1)
  }

  /// Applies the missing files.
  ///
  /// - Parameter serverRole: the role that gets access. Nil changes no role's access.
  /// - Returns: the names of the migrations and functions that were applied.
  /// - Throws: `MigrationError` when the database is unfit or newer than this program, its schema is not ours, or a
  ///   migration was edited; `PostgresError`, `CancellationError`.
  package func migrate(serverRole: ServerRole? = nil) async throws -> [String] {
    try await closing {
      let applied = try await applyMissing()
      if let serverRole {
        try await database.withConnection { connection in
          try await begin(on: connection)
          try await Self.verifySchema(on: connection)
          try await serverRole.grantAccess(on: connection)
          try await connection.executeScript("commit")
        }
      }
      return applied
    }
  }

  private func begin(on connection: Connection) async throws {
    try await connection.executeScript("begin")
    _ = try await connection.execute(Lock())
  }

  private struct Lock: PreparedStatement {
    static let name = "lock_schema"
    static let sql = "select 1 from pg_advisory_xact_lock(\(Migrator.lockKey))"
    static let isCancellable = true  // another migrator may take long
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }

  /// Compares the schema with this program. Changes nothing.
  ///
  /// - Throws: `MigrationError` when the database is unfit, `PostgresError`.
  package func status() async throws -> SchemaStatus {
    try await closing {
      try await database.withConnection { connection in
        try await DatabaseRequirements.verify(on: connection)
        return try await SchemaStatus.read(on: connection)
      }
    }
  }

  /// - Throws: `MigrationError` unless the database meets the requirements and its schema is current, `PostgresError`.
  package func verify() async throws {
    let status = try await status()
    try Self.refuseUnlessOurs(status)
    if !status.isCurrent {
      throw MigrationError.schemaIsBehind(pending: status.pendingMigrations + status.outdatedFunctions)
    }
  }

  private func closing<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      let result = try await body()
      await database.close()
      return result
    } catch {
      await database.close()
      throw error
    }
  }

  private static func refuseUnlessOurs(_ status: SchemaStatus) throws {
    if let name = status.unknownMigrations.first { throw MigrationError.databaseIsNewer(migration: name) }
    if let name = status.editedMigrations.first { throw MigrationError.migrationWasEdited(migration: name) }
  }

  /// The largest number of attempts in case of deadlocks. Running servers lock tables in another order than migrations.
  private static let maximumAttempts = 5

  private func applyMissing() async throws -> [String] {
    for _ in 1..<Self.maximumAttempts {
      do {
        return try await database.withConnection(applyMissing)
      } catch PostgresError.server(let error) where error.isConcurrencyFailure {
        continue
      }
    }
    return try await database.withConnection(applyMissing)
  }

  /// Applies the missing files and returns their names. After an error the transaction is still open. The pool then
  /// closes the connection, which rolls the transaction back.
  private func applyMissing(_ connection: Connection) async throws -> [String] {
    try await begin(on: connection)
    try await DatabaseRequirements.verify(on: connection)
    try await Self.verifySchema(on: connection)
    // From here on, names without a schema belong to the schema flashsale.
    try await connection.executeScript(
      """
      set local search_path = flashsale, pg_temp;
      create table if not exists flashsale.schema_files (
          kind       text        not null,
          name       text        not null,
          checksum   text        not null,
          applied_at timestamptz not null default now(),
          constraint schema_files_pkey primary key (kind, name),
          constraint schema_files_kind_known check (kind in ('migration', 'function'))
      )
      """)
    let status = try await SchemaStatus.read(on: connection)
    try Self.refuseUnlessOurs(status)
    let files =
      SQLFile.migrations.filter { status.pendingMigrations.contains($0.key.name) }
      + SQLFile.functions.filter { status.outdatedFunctions.contains($0.key.name) }
    if !files.isEmpty {
      let roles = try await ServerRole.all(on: connection)
      // A function may call another one whose file comes later.
      try await connection.executeScript("set local check_function_bodies = off")
      for file in files {
        try Task.checkCancellation()
        // `create or replace` cannot change a function's result type, so drop the function first. Nothing depends on
        // it.
        if file.key.kind == .function {
          try await connection.executeScript("drop function if exists flashsale.\(file.key.name)")
        }
        try await connection.executeScript(file.text)
        _ = try await connection.execute(RecordFile(file: file))
      }
      try await ServerRole.grantAccess(to: roles, on: connection)
    }
    try await connection.executeScript("commit")
    return files.map(\.key.name)
  }

  /// Creates the schema if it does not exist. Then checks its owner and content, because another role may have created
  /// it.
  private static func verifySchema(on connection: isolated Connection) throws {
    // `create schema if not exists` needs the right to create schemas even if the schema exists.
    if try connection.run(HasSchema()).first == false { try connection.executeScript("create schema flashsale") }
    try SchemaInspection.verify(on: connection)
  }

  private struct HasSchema: PreparedStatement {
    static let name = "has_schema"
    static let sql = "select to_regnamespace('flashsale') is not null"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  private struct RecordFile: PreparedStatement {
    static let name = "record_schema_file"
    static let sql = """
      insert into flashsale.schema_files (kind, name, checksum) values ($1::text, $2::text, $3::text)
      on conflict (kind, name) do update set checksum = excluded.checksum, applied_at = now()
      """
    let file: SQLFile

    func bind(to parameters: inout Parameters) {
      parameters.append(file.key.kind.rawValue)
      parameters.append(file.key.name)
      parameters.append(file.checksum)
    }

    static func decode(_ row: inout Row) throws {}
  }
}

/// The reason why a database or its schema cannot be used. The description is one line that says what to do.
package enum MigrationError: Error, CustomStringConvertible {
  /// - Parameter reason: a clause that begins with "it" or "its".
  case databaseIsUnfit(_ reason: String)
  /// - Parameter finding: a clause that names the object of another role, or the object that no migration made.
  case schemaIsNotOurs(finding: String)
  case databaseIsNewer(migration: String)
  case migrationWasEdited(migration: String)
  case schemaIsBehind(pending: [String])

  package var description: String {
    switch self {
    case .databaseIsUnfit(let reason):
      "the database cannot be used: \(reason)"
    case .schemaIsNotOurs(let finding):
      "\(finding): `flashsale migrate` did not make this as the current role, and it could run with its rights; "
        + "remove it, then run `flashsale migrate` again"
    case .databaseIsNewer(let name):
      "the database is newer than this program: it has migration \(name); use a newer version of flashsale"
    case .migrationWasEdited(let name):
      "migration \(name) was edited after it was applied; restore its text and add a new migration instead"
    case .schemaIsBehind(let pending):
      "the database's schema is behind (\(pending.count) files to apply); run `flashsale migrate`"
    }
  }
}
