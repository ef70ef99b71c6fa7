import Foundation
import Testing
import Time

@testable import Postgres

@Suite struct RowTests {
  @Test func `columns are decoded from left to right`() async throws {
    try await withUnnamed { connection in
      let pairs: [Pair<Int32, String>] = try await connection.all("values (1, 'a'), (2, 'b'), (3, null)")
      #expect(pairs == [Pair(1, "a"), Pair(2, "b"), Pair(3, nil)])
    }
  }

  @Test func `a query without rows returns an empty array`() async throws {
    try await withUnnamed { connection in
      let none: [Pair<Int32, Int32>] = try await connection.all("select 1 where false")
      #expect(none == [])
    }
  }

  @Test func `a null in place of a value is an unexpected row`() async throws {
    try await withUnnamed { connection in
      let error = try await postgresError { try await connection.first("null::integer") as Int32 }
      #expect(error.isUnexpectedRow)
      #expect(error.description == "read_one returned an unexpected row: column 1 is null")
      #expect(connection.isReusable)
    }
  }

  @Test func `a missing column is an unexpected row`() async throws {
    try await withUnnamed { connection in
      let error = try await postgresError {
        try await connection.all("select 1::integer") as [Pair<Int32, String>]
      }
      #expect(error.isUnexpectedRow)
      #expect("\(error)".contains("there is no column 2"))
    }
  }

  @Test func `a column of another type is an unexpected row`() async throws {
    try await withUnnamed { connection in
      try await expectUnexpected(Int32.self, in: "1::bigint", connection)
      try await expectUnexpected(Int64.self, in: "1::integer", connection)
      try await expectUnexpected(Bool.self, in: "1::integer", connection)
      try await expectUnexpected(String.self, in: "'a'::bytea", connection)
      try await expectUnexpected(UUID.self, in: "'a'::text", connection)
      try await expectUnexpected(Timestamp.self, in: "now()::timestamp", connection)
      try await expectUnexpected(String.self, in: "'{}'::jsonb", connection)
      try await expectUnexpected(Int64.self, in: "1.5::numeric", connection)
    }
  }

  private func expectUnexpected<Value: PostgresDecodable>(
    _ type: Value.Type, in sql: String, _ connection: Connection, at location: SourceLocation = #_sourceLocation
  ) async throws {
    let error = try await postgresError(at: location) { try await connection.first(sql) as Value }
    #expect(error.isUnexpectedRow, sourceLocation: location)
  }

  private func withUnnamed(_ body: @Sendable (Connection) async throws -> Void) async throws {
    // The types of the view's columns change, and a prepared statement would fail then.
    try await withConnection {
      $0.usesNamedStatements = false
    } _: { connection, _ in
      try await body(connection)
    }
  }
}

extension Connection {
  /// The value of an SQL expression. Works only without named statements.
  func first<Value: PostgresDecodable>(_ sql: String) async throws -> Value {
    try executeScript("drop view if exists one; create temporary view one as select \(sql) as value")
    return try await execute(ReadOne<Value>())[0]
  }

  /// The first two columns of a query. Works only without named statements.
  func all<A: PostgresDecodable & Equatable, B: PostgresDecodable & Equatable>(_ query: String) async throws -> [Pair<
    A, B
  >] {
    try executeScript("drop view if exists two; create temporary view two as \(query)")
    return try await execute(ReadTwo<A, B>())
  }
}

struct Pair<A: Sendable & Equatable, B: Sendable & Equatable>: Equatable, Sendable {
  let a: A
  let b: B?
  init(_ a: A, _ b: B?) { (self.a, self.b) = (a, b) }
}

private struct ReadOne<Value: PostgresDecodable>: PreparedStatement {
  static var name: String { "read_one" }
  static var sql: String { "select * from one" }
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> Value { try row.decode() }
}

private struct ReadTwo<A: PostgresDecodable & Equatable, B: PostgresDecodable & Equatable>: PreparedStatement {
  static var name: String { "read_two" }
  static var sql: String { "select * from two" }
  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> Pair<A, B> { Pair(try row.decode(), try row.decodeIfPresent()) }
}
