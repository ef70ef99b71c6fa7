import Crypto
import Postgres

/// The differences between a database's schema and the SQL files of this program.
package struct SchemaStatus: Sendable {
  /// Migrations of this program that the database lacks, in order.
  package let pendingMigrations: [String]
  /// Functions that the database lacks, or has with another text.
  package let outdatedFunctions: [String]
  /// Migrations of the database that this program does not know. The program is older than the database then.
  package let unknownMigrations: [String]
  /// Migrations whose text differs from the applied one.
  package let editedMigrations: [String]

  package var isCurrent: Bool {
    pendingMigrations.isEmpty && outdatedFunctions.isEmpty && unknownMigrations.isEmpty && editedMigrations.isEmpty
  }

  /// - Throws: `PostgresError`, `UnknownValue`.
  static func read(on connection: isolated Connection) throws -> SchemaStatus {
    SchemaStatus(recorded: Dictionary(uniqueKeysWithValues: try recordedFiles(on: connection)))
  }

  /// All functions that were ever applied, also those without a file today.
  static func recordedFunctions(on connection: isolated Connection) throws -> [String] {
    try recordedFiles(on: connection).compactMap { file, _ in file.kind == .function ? file.name : nil }
  }

  private static func recordedFiles(on connection: isolated Connection) throws -> [(SQLFile.Key, String)] {
    guard try connection.run(HasSchemaTable()).first == true else { return [] }
    return try connection.run(ReadSchemaTable())
  }

  /// - Parameter recorded: the checksums of the applied files.
  private init(recorded: [SQLFile.Key: String]) {
    let known = Set(SQLFile.migrations.map(\.key))
    pendingMigrations = SQLFile.migrations.filter { recorded[$0.key] == nil }.map(\.key.name)
    editedMigrations = SQLFile.migrations.filter { ![nil, $0.checksum].contains(recorded[$0.key]) }.map(\.key.name)
    unknownMigrations = recorded.keys.filter { $0.kind == .migration && !known.contains($0) }.map(\.name).sorted()
    outdatedFunctions = SQLFile.functions.filter { recorded[$0.key] != $0.checksum }.map(\.key.name)
  }

  private struct HasSchemaTable: PreparedStatement {
    static let name = "has_schema_files"
    static let sql = "select to_regclass('flashsale.schema_files') is not null"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
  }

  private struct ReadSchemaTable: PreparedStatement {
    static let name = "read_schema_files"
    static let sql = "select kind, name, checksum from flashsale.schema_files"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> (SQLFile.Key, String) {
      (SQLFile.Key(kind: try row.decodeCase(), name: try row.decode()), try row.decode())
    }
  }
}

/// A file of the `sql` folder, embedded in this program.
struct SQLFile: Sendable {
  enum Kind: String, Sendable {
    case migration, function
  }

  struct Key: Hashable, Sendable {
    let kind: Kind
    let name: String
  }

  let key: Key
  let text: String
  /// SHA-256 of the text, in hexadecimal.
  let checksum: String

  private init(_ kind: Kind, _ file: (name: String, text: String)) {
    key = Key(kind: kind, name: String(file.name.dropLast(".sql".count)))
    text = file.text
    checksum = SHA256.hash(data: Array(text.utf8)).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      .joined()
  }

  static let migrations = EmbeddedSQL.migrations.map { SQLFile(.migration, $0) }
  static let functions = EmbeddedSQL.functions.map { SQLFile(.function, $0) }
}
