import CLibPQ

/// Owns one `PGresult` and frees it. Use it only on the executor of its connection.
final class QueryResult {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) {
    self.pointer = pointer
  }

  deinit {
    PQclear(pointer)
  }

  var errorMessage: String {
    String(cString: PQresultErrorMessage(pointer)).trimmingLines()
  }

  /// The server's error. Nil when libpq made the message itself.
  func serverError(statement: String) -> PostgresError.ServerError? {
    guard let sqlState = field("C") else { return nil }
    return PostgresError.ServerError(
      sqlState: sqlState, message: field("M") ?? errorMessage, detail: field("D"), hint: field("H"),
      statement: statement)
  }

  /// A field of the error by its one-letter code (PostgreSQL documentation, "Error and Notice Message Fields").
  private func field(_ code: Unicode.Scalar) -> String? {
    PQresultErrorField(pointer, Int32(code.value)).map { String(cString: $0) }
  }
}

extension String {
  /// Joins the lines of a message of libpq into one.
  func trimmingLines() -> String {
    split(whereSeparator: \.isNewline).map { $0.drop(while: \.isWhitespace) }.joined(separator: " ")
  }
}
