/// A statement with its parameters, and how to read its rows.
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
/// Parameters and results travel in binary, so each `$n` carries an explicit cast that fits the Swift type.
package protocol PreparedStatement: Sendable {
  associatedtype Result: Sendable

  /// Unique among the statements of a program; also names the statement in errors.
  static var name: String { get }
  static var sql: String { get }

  /// Whether cancelling the task asks the server to stop. Only for statements that write nothing: a cancel that
  /// arrives while a commit waits for a standby would leave it committed here and reported as a failure.
  static var isCancellable: Bool { get }

  /// Appends one value for `$1`, one for `$2` and so on.
  func bind(to parameters: inout Parameters)

  /// Reads one row, its columns from left to right.
  static func decode(_ row: inout Row) throws -> Result
}

extension PreparedStatement {
  package static var isCancellable: Bool { false }
}
