import CLibPQ

/// One row of a result. Its columns are read from left to right. It is valid only inside `PreparedStatement.decode`.
package struct Row: ~Copyable {
  private let result: OpaquePointer
  private let row: Int32
  private let statement: String
  private var column: Int32 = 0

  init(_ result: OpaquePointer, row: Int32, statement: String) {
    self.result = result
    self.row = row
    self.statement = statement
  }

  /// The next column, which must not be null.
  ///
  /// - Throws: `PostgresError.unexpectedRow` when it is null, missing, or of another type.
  package mutating func decode<Value: PostgresDecodable>(_ type: Value.Type = Value.self) throws -> Value {
    guard let value = try decodeIfPresent(type) else {
      throw unexpected("column \(column) is null")
    }
    return value
  }

  /// The next column, or nil when it is null.
  ///
  /// - Throws: `PostgresError.unexpectedRow` when it is missing or of another type.
  package mutating func decodeIfPresent<Value: PostgresDecodable>(_ type: Value.Type = Value.self) throws -> Value? {
    guard column < PQnfields(result) else { throw unexpected("there is no column \(column + 1)") }
    defer { column += 1 }
    if PQgetisnull(result, row, column) == 1 { return nil }
    let found = PQftype(result, column)
    guard type.readableTypes.contains(found) else {
      throw unexpected("column \(column + 1) has type \(found), not \(type)")
    }
    let bytes = UnsafeRawBufferPointer(
      start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
    guard let value = type.decode(bytes) else { throw unexpected("column \(column + 1) is no valid \(type)") }
    return value
  }

  /// Passes over columns without reading them.
  package mutating func skip(_ count: Int32) {
    column += count
  }

  private func unexpected(_ message: String) -> PostgresError {
    .unexpectedRow(statement: statement, message: message)
  }
}
