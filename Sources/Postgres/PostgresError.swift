/// What can go wrong between this process and PostgreSQL. Business outcomes are never errors.
package enum PostgresError: Error, Sendable {
  /// No connection could be made, so nothing was sent.
  case cannotConnect(String)

  /// The connection broke while `statement` was under way: it may have taken effect or not.
  case connectionLost(statement: String, message: String)

  /// The server refused `statement`, which therefore had no effect.
  case server(ServerError)

  /// A row did not have the shape that `statement` declares: a programmer's error or a schema that does not fit.
  case unexpectedRow(statement: String, message: String)

  /// The pool was closed. Nothing was sent.
  case poolUnavailable(String)

  /// An error as the server reports it (PostgreSQL documentation, "Error and Notice Message Fields").
  package struct ServerError: Sendable {
    /// The five-character code, such as `23505` (PostgreSQL documentation, appendix A).
    package let sqlState: String
    package let message: String
    package let detail: String?
    package let hint: String?
    /// The name of the prepared statement, or the start of the script's text, on one line.
    package let statement: String
  }

  /// True when nobody knows whether the statement took effect.
  package var isConnectionLost: Bool {
    if case .connectionLost = self { true } else { false }
  }

  /// True when the server could not be reached or hung up: the time to answer "try later".
  package var isDatabaseAway: Bool {
    switch self {
    case .cannotConnect, .connectionLost, .poolUnavailable: true
    case .server(let error): error.isUnavailability
    case .unexpectedRow: false
    }
  }
}

extension PostgresError.ServerError {
  /// Two transactions were in each other's way and this one was rolled back (40001, 40P01): run it again, whole.
  package var isConcurrencyFailure: Bool {
    sqlState == "40001" || isDeadlock
  }

  /// It was the one that had to go, of several that waited for each other.
  package var isDeadlock: Bool { sqlState == "40P01" }

  /// A prepared statement is not there, or its name is taken (26000, 42P05): a pooler has changed the server connection.
  var isAboutStatementName: Bool { ["26000", "42P05"].contains(sqlState) }

  /// The server refused a value (classes 22, 23 and 54: data, constraints, limits): the same statement without it may do.
  package var isAboutData: Bool { ["22", "23", "54"].contains { sqlState.hasPrefix($0) } }

  /// It waited for a lock for too long.
  package var isLockTimeout: Bool { sqlState == "55P03" }

  /// The server is starting, stopping, full, or took longer than its time limits allow; another attempt may succeed.
  var isUnavailability: Bool {
    // 57P01-57P03: shutting down, crashed, starting up. 53xxx: out of a resource. 57014 and 55P03: a time limit.
    // 25006: a standby that cannot write. 08xxx: the connection.
    sqlState.hasPrefix("57P") || sqlState.hasPrefix("53") || sqlState.hasPrefix("08")
      || ["57014", "55P03", "25006"].contains(sqlState)
  }
}

extension PostgresError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .cannotConnect(let message): "cannot connect to PostgreSQL: \(message)"
    case .connectionLost(let statement, let message): "connection lost during \(statement): \(message)"
    case .server(let error):
      "\(error.statement): \(error.message) (SQLSTATE \(error.sqlState))"
        + (error.detail.map { ", \($0)" } ?? "")
    case .unexpectedRow(let statement, let message): "\(statement) returned an unexpected row: \(message)"
    case .poolUnavailable(let message): message
    }
  }
}
