import Postgres

/// The requirements for the checkout's database.
enum DatabaseRequirements {
  private static let oldestVersion: Int32 = 12

  struct Facts: Sendable {
    /// `server_version_num`, such as 150004 for 15.4.
    var version: Int32
    var encoding: String
    var isStandby: Bool

    /// The requirement that the database does not meet, as a clause. Nil when it meets all.
    var problem: String? {
      if version < oldestVersion * 10_000 {
        return "it runs PostgreSQL \(version / 10_000); flashsale needs version \(oldestVersion) or later"
      }
      // In another encoding the server may count one character as several. Then length checks and comparisons differ.
      if encoding != "UTF8" {
        return "its encoding is \(encoding), not UTF8; create another database: "
          + "create database ... encoding 'UTF8' template template0"
      }
      if isStandby {
        return "it is a standby, which is read-only; name its primary, or all hosts with "
          + "target_session_attrs=read-write"
      }
      return nil
    }
  }

  /// - Throws: `MigrationError.databaseIsUnfit`, `PostgresError`.
  static func verify(on connection: isolated Connection) throws {
    if let problem = try connection.run(ReadFacts())[0].problem { throw MigrationError.databaseIsUnfit(problem) }
  }

  private struct ReadFacts: PreparedStatement {
    static let name = "read_database_facts"
    static let sql = """
      select current_setting('server_version_num')::integer, current_setting('server_encoding'), pg_is_in_recovery()
      """
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Facts {
      Facts(version: try row.decode(), encoding: try row.decode(), isStandby: try row.decode())
    }
  }
}
