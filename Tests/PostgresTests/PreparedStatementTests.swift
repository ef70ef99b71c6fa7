import Testing

@testable import Postgres

@Suite struct PreparedStatementTests {
  @Test func `a statement is prepared once on each connection`() async throws {
    try await withConnection { connection, configuration in
      for number in 0..<10 { #expect(try await connection.execute(Echo(Int32(number))) == [Int32(number)]) }
      #expect(try await connection.execute(Echo("")) == [""])
      let prepared = "select count(*) from pg_prepared_statements where name like 'echo%'"
      #expect(try await connection.integer(prepared) == 2)
      // The name exists: the server refuses to prepare it again.
      let prepareAgain = "prepare echo_23 as select 1"
      #expect(try await serverError { try await connection.executeScript(prepareAgain) }.sqlState == "42P05")
      let ofAnother = try await withConnection(configuration) { try await $0.integer(prepared) }
      #expect(ofAnother == 0)
    }
  }

  @Test func `without named statements nothing stays prepared`() async throws {
    try await withConnection {
      $0.usesNamedStatements = false
    } _: { connection, _ in
      for number in 0..<10 { _ = try await connection.execute(Echo(Int32(number))) }
      #expect(try await connection.integer("select count(*) from pg_prepared_statements") == 0)
    }
  }

  @Test func `a statement that cannot be prepared fails and leaves the connection reusable`() async throws {
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

  /// A migration can change a function's result type while servers run.
  @Test func `a statement with an outdated plan fails once, then works on another connection`() async throws {
    try await withPool(size: 1) { pool, observer in
      try await observer.executeScript("create function f() returns table (a integer) begin atomic select 1; end")
      let before = try await pool.execute(CallF())
      #expect(before == [1])
      try await observer.executeScript(
        """
        drop function f();
        create function f() returns table (a integer, b integer) begin atomic select 2, 3; end
        """)
      let outdated = try await serverError { try await pool.execute(CallF()) }
      #expect(outdated.sqlState == "0A000")
      let after = try await pool.execute(CallF())
      #expect(after == [2])
    }
  }

  /// A pooler causes both: the next transaction may get another session.
  @Test(arguments: ["deallocate all", "deallocate all; prepare echo_23 as select 1::integer"])
  func `a pool that loses its prepared statements continues without names`(loss: String) async throws {
    let losses = Shared(0)
    try await withConnection { observer, configuration in
      let pool = Pool(configuration, size: 2, onNamesLost: { losses.withLock { $0 += 1 } })
      try await pool.withConnection { connection async throws in
        #expect(try await connection.execute(Echo(Int32(1))) == [1])
        try await connection.executeScript(loss)
        if loss.contains("prepare echo") { await connection.forgetNames() }
        for number in 2...4 { #expect(try await connection.execute(Echo(Int32(number))) == [Int32(number)]) }
        // Another connection of the pool does not try names again.
        try await pool.withConnection { other async throws in
          #expect(try await other.execute(Echo(Int32(5))) == [5])
          #expect(try await other.integer("select count(*) from pg_prepared_statements") == 0)
        }
        #expect(connection.isReusable)
      }
      #expect(losses.value == 1)
      await pool.close()
    }
  }

  @Test func `losing a statement's name in a transaction fails the transaction`() async throws {
    try await withConnection { connection, _ in
      try await connection.executeScript("create table t (i integer)")
      #expect(try await connection.execute(Echo(Int32(1))) == [1])
      try await connection.executeScript("deallocate all; begin; insert into t values (1)")
      #expect(try await serverError { try await connection.execute(Echo(Int32(2))) }.sqlState == "26000")
      #expect(!connection.isReusable)
      try await connection.executeScript("rollback")
      #expect(try await connection.execute(Echo(Int32(3))) == [3])
      #expect(try await connection.integer("select count(*) from t") == 0)
    }
  }

  private struct CallF: PreparedStatement {
    static let name = "call_f"
    static let sql = "select * from f()"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Int32 { try row.decode() }
  }

  private struct Nonsense: PreparedStatement {
    static let name = "nonsense"
    static let sql = "select from nowhere"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }
}
