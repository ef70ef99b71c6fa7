import Postgres

/// Brings a database's schema up to what this program needs.
///
/// Migrations run once each, in the order of their names. Functions are replaced whenever their text changed. All of it is
/// one transaction, so that a server meets the old schema or the new one; a function that is no longer called stays, for
/// calls that were under way. Any number of migrators may run at once: the transaction first takes one advisory lock and then
/// looks at what is left to do.
///
/// What it makes belongs to the role that it connects as, in the schema `flashsale`, where nobody else may create. Servers need
/// no more than a role of their own that `ServerRole` gave access to; it keeps that access when functions are replaced.
package struct Migrator: Sendable {
  /// Guards the schema. The number only has to be no other's: it spells "flashsal" in ASCII.
  private static let lockKey: Int64 = 0x666c_6173_6873_616c

  private let database: Pool

  /// - Parameter configuration: as a role that may create tables. Its time limits are replaced by ones that fit DDL.
  package init(_ configuration: ConnectionConfiguration) {
    var configuration = configuration
    configuration.statementTimeout = .seconds(600)
    configuration.lockTimeout = .seconds(60)
    configuration.idleInTransactionTimeout = .seconds(60)
    configuration.fixCheckoutParameters()
    database = Pool(configuration, size: 1)
  }

  /// Applies what is missing.
  ///
  /// - Parameter serverRole: gets access; nil leaves it with those who have it.
  /// - Returns: the names of the migrations and functions that were applied.
  /// - Throws: `MigrationError` when the database is unfit or newer than this program, its schema is not ours, or a migration
  ///   was edited; `PostgresError`.
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

  /// - Throws: `MigrationError` when the database is unfit, `PostgresError`.
  package func status() async throws -> SchemaStatus {
    try await closing {
      try await database.withConnection { connection in
        try await DatabaseRequirements.verify(on: connection)
        return try await SchemaStatus.read(on: connection)
      }
    }
  }

  /// - Throws: `MigrationError` unless the database will do and its schema is just what this program needs, `PostgresError`.
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

  /// How often it is tried beside servers at work: each of them locks tables in an order of its own.
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

  /// Applies what is missing, and returns its names. An error leaves the transaction open, and the pool then drops the
  /// connection, which rolls it back.
  private func applyMissing(_ connection: Connection) async throws -> [String] {
    try await begin(on: connection)
    try await DatabaseRequirements.verify(on: connection)
    try await Self.verifySchema(on: connection)
    // From here on, names without a schema are those of the checkout.
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
      // Functions may call others that come later in the alphabet.
      try await connection.executeScript("set local check_function_bodies = off")
      for file in files {
        try Task.checkCancellation()
        // Dropped first, since a replacement may not return something else; nothing depends on it.
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

  /// Makes the schema, unless it is there, and looks at whose it is: somebody else may make one first, up to the very moment.
  private static func verifySchema(on connection: isolated Connection) throws {
    // Not `if not exists`, which takes the right to create schemas also when there is nothing to create.
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

/// Why a schema cannot be used as it is. Each describes itself in one line that says what to do.
package enum MigrationError: Error, CustomStringConvertible {
  /// - Parameter reason: a clause that begins with "it" or "its".
  case databaseIsUnfit(_ reason: String)
  /// - Parameter finding: a clause that names what others have put in the way.
  case schemaIsNotOurs(finding: String)
  case databaseIsNewer(migration: String)
  case migrationWasEdited(migration: String)
  case schemaIsBehind(pending: [String])

  package var description: String {
    switch self {
    case .databaseIsUnfit(let reason):
      "the database cannot be used: \(reason)"
    case .schemaIsNotOurs(let finding):
      "\(finding): this was not made by the role that migrates, or not by flashsale, and could run with its rights; remove it, "
        + "then run `flashsale migrate` again"
    case .databaseIsNewer(let name):
      "the database is newer than this program: it has migration \(name); use a newer version of flashsale"
    case .migrationWasEdited(let name):
      "migration \(name) was edited after it was applied; restore its text and add a new migration instead"
    case .schemaIsBehind(let pending):
      "the database's schema is behind (\(pending.count) files to apply); run `flashsale migrate`"
    }
  }
}
