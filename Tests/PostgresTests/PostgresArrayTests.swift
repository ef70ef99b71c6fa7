import Foundation
import Testing
import Time

@testable import Postgres

@Suite struct PostgresArrayTests {
  @Test func `arrays of each type are encoded and decoded`() async throws {
    let id = UUID()
    try await expectSame([([Bool](), "{}"), ([true, false], "{t,f}")])
    try await expectSame([([Int32](), "{}"), ([1, .min, .max], "{1,\(Int32.min),\(Int32.max)}")])
    try await expectSame([([Int64](), "{}"), ([1, .min, .max], "{1,\(Int64.min),\(Int64.max)}")])
    try await expectSame([([String](), "{}"), (["", "a", "NULL", "ü👍,\"{"], #"{"",a,"NULL","ü👍,\"{"}"#)])
    let idText = id.uuidString.lowercased()
    try await expectSame([([UUID](), "{}"), ([id, id], "{\(idText),\(idText)}")])
    try await expectSame([
      ([Timestamp](), "{}"),
      (
        [.init(microsecondsSince1970: -1), .init(microsecondsSince1970: 0)],
        #"{"1969-12-31 23:59:59.999999+00","1970-01-01 00:00:00+00"}"#
      ),
    ])
  }

  @Test func `array parameters may contain nulls`() async throws {
    try await withConnection { connection, _ async throws in
      #expect(try await connection.execute(ToText(value: [Bool?.none, true])) == ["{NULL,t}"])
      #expect(try await connection.execute(ToText(value: [Int32?.none, 1, nil])) == ["{NULL,1,NULL}"])
      #expect(try await connection.execute(ToText(value: [Int64?.none])) == ["{NULL}"])
      #expect(try await connection.execute(ToText(value: ["", String?.none])) == [#"{"",NULL}"#])
      #expect(try await connection.execute(ToText(value: [UUID?.none])) == ["{NULL}"])
      #expect(try await connection.execute(ToText(value: [Timestamp?.none])) == ["{NULL}"])
      #expect(try await connection.execute(ToText(value: [Int64?]())) == ["{}"])
    }
  }

  @Test func `a nil array is null, and an empty array is not`() async throws {
    try await withConnection { connection, _ async throws in
      #expect(try await connection.execute(Echo<[Int32]>(nil)) == [nil])
      #expect(try await connection.execute(Echo<[Int32]>([])) == [[]])
    }
  }

  @Test func `an array is decoded whatever its lower bound is`() async throws {
    try await expectDecoded([([7, 8] as [Int32], "'[5:6]={7,8}'::integer[]")])
  }

  @Test(arguments: ["'{1,null}'::integer[]", "'{{1,2},{3,4}}'::integer[]", "'{1}'::bigint[]", "1::integer"])
  func `decoding an array of another shape or type fails`(sql: String) async throws {
    try await withConnection {
      $0.usesNamedStatements = false
    } _: { connection, _ in
      let error = try await postgresError { try await connection.first(sql) as [Int32] }
      #expect(error.isUnexpectedRow)
      #expect(connection.isReusable)
    }
  }

  @Test func `truncated or extended bytes are not decoded`() {
    var bytes: [UInt8] = []
    [1, 2, 3].map(Int32.init).encode(into: &bytes)
    for length in 0..<bytes.count {
      #expect(bytes[..<length].withUnsafeBytes { [Int32].decode($0) } == nil, "\(length)")
    }
    #expect((bytes + [0]).withUnsafeBytes { [Int32].decode($0) } == nil)
    #expect(bytes.withUnsafeBytes { [Int32].decode($0) } == [1, 2, 3])
  }

  @Test func `an array of 100,000 elements is sent and received`() async throws {
    try await withConnection { connection, _ async throws in
      let numbers = (0..<100_000).map(Int64.init)
      #expect(try await connection.execute(Echo(numbers)) == [numbers])
    }
  }
}
