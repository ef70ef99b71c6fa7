import Testing

@testable import Postgres

@Suite struct PostgresErrorTests {
  @Test func `a server error has SQLSTATE, message, detail, hint and statement`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript(
        """
        create function pg_temp.raise_everything() returns void language plpgsql as $$
        begin
          raise exception 'sold out' using errcode = 'FS001', detail = 'asked for 3', hint = 'ask for less';
        end $$
        """)
      let error = try await serverError { try await connection.execute(RaiseEverything()) }
      #expect(error.sqlState == "FS001")
      #expect(error.message == "sold out")
      #expect(error.detail == "asked for 3")
      #expect(error.hint == "ask for less")
      #expect(error.statement == "raise_everything")
      #expect("\(PostgresError.server(error))" == "raise_everything: sold out (SQLSTATE FS001), asked for 3")
    }
  }

  @Test func `an error of a script shows the script's beginning on one line`() async throws {
    try await withConnection { connection, _ in
      let sql = "select 1;\n  select nonsense from " + String(repeating: "nowhere ", count: 100)
      let error = try await serverError { try await connection.executeScript(sql) }
      #expect(error.sqlState == "42601")
      #expect(error.statement.hasPrefix("select 1; select nonsense from nowhere"))
      #expect(error.statement.count <= 60)
      #expect(error.detail == nil && error.hint == nil)
    }
  }

  @Test(arguments: ["57P01", "57P02", "57P03", "53300", "53100", "57014", "55P03", "25006", "08006"])
  func `these SQLSTATEs mean that the database is away`(sqlState: String) {
    #expect(server(sqlState).isDatabaseAway)
  }

  @Test(arguments: ["23505", "40001", "42P01", "0A000", "25P02"])
  func `these SQLSTATEs do not mean that the database is away`(sqlState: String) {
    #expect(!server(sqlState).isDatabaseAway)
  }

  @Test func `a missing connection means that the database is away`() {
    #expect(PostgresError.cannotConnect("").isDatabaseAway)
    #expect(PostgresError.connectionLost(statement: "", message: "").isDatabaseAway)
    #expect(PostgresError.poolUnavailable("").isDatabaseAway)
    #expect(!PostgresError.unexpectedRow(statement: "", message: "").isDatabaseAway)
  }

  @Test func `a deadlock is a concurrency failure`() async throws {
    try await withConnection {
      $0.lockTimeout = .seconds(20)
    } _: { one, configuration in
      try await withConnection(configuration) { other in
        try await one.executeScript("create table t (id integer primary key); insert into t values (1), (2)")
        for (connection, row) in [(one, 1), (other, 2)] {
          try await connection.executeScript(
            "set deadlock_timeout = '10ms'; begin; select from t where id = \(row) for update")
        }
        async let first: Void = one.executeScript("select from t where id = 2 for update; commit")
        async let second: Void = other.executeScript("select from t where id = 1 for update; commit")
        var errors: [PostgresError] = []
        do { try await first } catch let error as PostgresError { errors.append(error) }
        do { try await second } catch let error as PostgresError { errors.append(error) }
        #expect(errors.map(\.serverError?.sqlState) == ["40P01"])
        #expect(errors[0].serverError?.isConcurrencyFailure == true)
      }
    }
  }

  private func server(_ sqlState: String) -> PostgresError {
    .server(.init(sqlState: sqlState, message: "", detail: nil, hint: nil, statement: ""))
  }

  private struct RaiseEverything: PreparedStatement {
    static let name = "raise_everything"
    static let sql = "select pg_temp.raise_everything()"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }
}
