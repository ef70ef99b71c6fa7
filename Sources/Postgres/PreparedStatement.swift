/// A statement with its SQL, its parameters and the decoding of its rows.
///
/// ```swift
/// struct FindProduct: PreparedStatement {
///   static let name = "find_product"
///   static let sql = "select name, stock from products where id = $1::integer"
///   let id: Int32
///   func bind(to parameters: inout Parameters) { parameters.append(id) }
///   static func decode(_ row: inout Row) throws -> (String, Int32) {
///     (try row.decode(String.self), try row.decode(Int32.self))
///   }
/// }
/// ```
///
/// Parameters and results are in binary format, so each `$n` needs a cast to the type of its Swift value.
package protocol PreparedStatement: Sendable {
  associatedtype Result: Sendable

  /// The name of the prepared statement, unique in the program. Errors and metrics show it.
  static var name: String { get }
  static var sql: String { get }

  /// Whether cancelling the task cancels the statement on the server. Only for statements that write nothing. A commit
  /// may wait for a standby when the cancel request arrives. It is then visible, but reported as failed.
  static var isCancellable: Bool { get }

  /// Appends one value for `$1`, one for `$2` and so on.
  func bind(to parameters: inout Parameters)

  /// Reads one row, column by column from left to right.
  ///
  /// - Throws: `PostgresError.unexpectedRow`, or an error of the statement's own.
  static func decode(_ row: inout Row) throws -> Result
}

extension PreparedStatement {
  package static var isCancellable: Bool { false }
}
