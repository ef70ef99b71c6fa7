import Postgres

extension Pool {
  /// Runs one or more statements without parameters.
  package func run(_ sql: String) async throws {
    try await withConnection { try await $0.executeScript(sql) }
  }

  /// Runs a query with one bigint value.
  ///
  /// - Throws: ``Unexpected`` when the value is null.
  package func integer(_ sql: String) async throws -> Int64 {
    guard let value = try await optionalInteger(sql) else { throw Unexpected("\(sql) is null") }
    return value
  }

  /// Runs a query with one bigint value. Nil when the value is null.
  package func optionalInteger(_ sql: String) async throws -> Int64? {
    try await withConnection { connection in
      try await connection.executeScript(
        "drop table if exists answer; create temporary table answer as select (\(sql))::bigint as value")
      return try await connection.execute(ReadAnswer())[0]
    }
  }
}

private struct ReadAnswer: PreparedStatement {
  static let name = "read_answer"
  static let sql = "select value from pg_temp.answer"
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> Int64? { try row.decodeIfPresent() }
}
