import Foundation
import Testing
import Time

@testable import Postgres

/// Each value is compared with PostgreSQL's text for it. Otherwise an error in encoding could hide one in decoding.
@Suite struct PostgresValueTests {
  @Test func `booleans are encoded and decoded`() async throws {
    try await expectSame([(true, "true"), (false, "false")])
  }

  @Test func `integers are encoded and decoded`() async throws {
    try await expectSame([0, 1, -1, Int32.min, Int32.max].map { ($0, "\($0)") })
    try await expectSame([0, 1, -1, Int64(Int32.max) + 1, Int64.min, Int64.max].map { ($0, "\($0)") })
  }

  @Test func `floating-point columns are decoded`() async throws {
    try await expectDecoded([
      (0.1, "0.1::float8"), (-1e300, "-1e300::float8"), (.infinity, "'Infinity'::float8"),
    ])
  }

  @Test func `strings of any characters are encoded and decoded`() async throws {
    let letters = "äöü ß 漢字 👩‍👩‍👧‍👦 \u{10FFFF} e\u{301} \n\r\t\u{1} ' \" \\ $1 %s {null}"
    try await expectSame(["", "a", letters].map { ($0, $0) })
  }

  @Test func `a text of one megabyte is sent and received`() async throws {
    try await withConnection { connection, _ async throws in
      let text = String(repeating: "0123456789äbcde👍", count: 1_000_000 / 20)
      #expect(try await connection.execute(Echo(text)) == [text])
    }
  }

  /// A text is sent with its length, so a zero character does not cut it off.
  @Test func `the server refuses a text with a zero character`() async throws {
    try await withConnection { connection, _ async throws in
      #expect(try await serverError { try await connection.execute(Echo("a\0b")) }.sqlState == "22021")
      #expect(connection.isReusable)
    }
  }

  @Test func `varchar columns are decoded`() async throws {
    try await expectDecoded([("abc", "'abc'::varchar(10)"), ("", "''::varchar")])
    try await expectDecoded([(["abc"], "'{abc}'::varchar(10)[]")])
  }

  @Test func `UUIDs are encoded and decoded`() async throws {
    let some = UUID()
    let texts = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    try await expectSame((texts + [some.uuidString.lowercased()]).map { (UUID(uuidString: $0)!, $0) })
  }

  @Test func `timestamps are encoded and decoded`() async throws {
    let texts: [(Int64, String)] = [
      (0, "1970-01-01 00:00:00+00"), (-1, "1969-12-31 23:59:59.999999+00"), (1, "1970-01-01 00:00:00.000001+00"),
      (946_684_800_000_000, "2000-01-01 00:00:00+00"), (946_684_799_999_999, "1999-12-31 23:59:59.999999+00"),
      (1_767_225_600_123_456, "2026-01-01 00:00:00.123456+00"), (-62_135_596_800_000_000, "0001-01-01 00:00:00+00"),
    ]
    try await expectSame(texts.map { (Timestamp(microsecondsSince1970: $0.0), $0.1) })
  }

  @Test func `decoding an infinite timestamp fails`() async throws {
    for text in ["infinity", "-infinity"] {
      try await withConnection { connection, _ in
        let error = try await postgresError { try await connection.execute(FromText<Timestamp>(text: text)) }
        #expect(error.isUnexpectedRow)
        #expect(connection.isReusable)
      }
    }
  }

  @Test func `null parameters and columns are nil`() async throws {
    try await withConnection { connection, _ async throws in
      #expect(try await connection.execute(Echo<Bool>(nil)) == [nil])
      #expect(try await connection.execute(Echo<Int32>(nil)) == [nil])
      #expect(try await connection.execute(Echo<Int64>(nil)) == [nil])
      #expect(try await connection.execute(Echo<String>(nil)) == [nil])
      #expect(try await connection.execute(Echo<UUID>(nil)) == [nil])
      #expect(try await connection.execute(Echo<Timestamp>(nil)) == [nil])
      #expect(try await connection.execute(Echo<[Int64]>(nil)) == [nil])
    }
  }
}

/// Expects that PostgreSQL turns each value into the text beside it, and that text into the value. Expects that the value
/// comes back unchanged.
func expectSame<Value: PostgresEncodable & PostgresDecodable & Equatable>(
  _ pairs: [(Value, String)], at location: SourceLocation = #_sourceLocation
) async throws {
  try await withConnection { connection, _ in
    try await connection.executeScript("set timezone to 'UTC'")
    for (value, text) in pairs {
      #expect(try await connection.execute(ToText(value: value)) == [text], sourceLocation: location)
      #expect(try await connection.execute(FromText<Value>(text: text)) == [value], sourceLocation: location)
      #expect(try await connection.execute(Echo(value)) == [value], sourceLocation: location)
    }
  }
}

/// Expects the value of each SQL expression.
func expectDecoded<Value: PostgresDecodable & Equatable>(
  _ pairs: [(Value, String)], at location: SourceLocation = #_sourceLocation
) async throws {
  try await withConnection {
    $0.usesNamedStatements = false
  } _: { connection, _ async throws in
    for (value, sql) in pairs {
      #expect(try await connection.first(sql) == value, sourceLocation: location)
    }
  }
}

struct ToText<Value: PostgresEncodable>: PreparedStatement {
  static var name: String { "to_text_\(Value.postgresType)" }
  static var sql: String { "select ($1::\(sqlName(Value.postgresType)))::text" }
  let value: Value
  func bind(to parameters: inout Parameters) { parameters.append(value) }
  static func decode(_ row: inout Row) throws -> String { try row.decode() }
}

struct FromText<Value: PostgresEncodable & PostgresDecodable>: PreparedStatement {
  static var name: String { "from_text_\(Value.postgresType)" }
  static var sql: String { "select $1::text::\(sqlName(Value.postgresType))" }
  let text: String
  func bind(to parameters: inout Parameters) { parameters.append(text) }
  static func decode(_ row: inout Row) throws -> Value { try row.decode() }
}
