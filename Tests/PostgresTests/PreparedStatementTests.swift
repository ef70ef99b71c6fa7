import Testing

@testable import Postgres

@Suite struct PreparedStatementTests {
  @Test func preparedOnceAConnection() async throws {
    try await withConnection { connection, configuration in
      for number in 0..<10 { #expect(try await connection.execute(Echo(Int32(number))) == [Int32(number)]) }
      #expect(try await connection.execute(Echo("")) == [""])
      let prepared = "select count(*) from pg_prepared_statements where name like 'echo%'"
      #expect(try await connection.integer(prepared) == 2)
      // Would have been refused, had it been prepared a second time.
      let prepareAgain = "prepare echo_23 as select 1"
      #expect(try await serverError { try await connection.executeScript(prepareAgain) }.sqlState == "42P05")
      let ofAnother = try await withConnection(configuration) { try await $0.integer(prepared) }
      #expect(ofAnother == 0)
    }
  }

  @Test func withoutNamesNothingStaysPrepared() async throws {
    try await withConnection(configure: { $0.usesNamedStatements = false }) { connection, _ in
      for number in 0..<10 { _ = try await connection.execute(Echo(Int32(number))) }
      #expect(try await connection.integer("select count(*) from pg_prepared_statements") == 0)
    }
  }

  @Test func statementThatCannotBePreparedFailsEachTimeAndHarmsNothing() async throws {
    try await withConnection { connection, _ in
      for _ in 0..<3 {
        let error = try await serverError { try await connection.execute(Nonsense()) }
        #expect(error.sqlState == "42P01" && error.statement == "nonsense")
        #expect(connection.isReusable)
      }
      try await connection.executeScript("create table nowhere ()")
      #expect(try await connection.execute(Nonsense()).isEmpty)
    }
  }

  private struct Nonsense: PreparedStatement {
    static let name = "nonsense"
    static let sql = "select from nowhere"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }
}
