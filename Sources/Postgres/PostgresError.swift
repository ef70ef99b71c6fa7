/// A failure of PostgreSQL or of the connection to it. The outcome of a use case is never an error.
package enum PostgresError: Error, Sendable {
  /// Connecting failed, so nothing was sent.
  case cannotConnect(String)

  /// The connection broke while `statement` was under way. The statement may have taken effect.
  case connectionLost(statement: String, message: String)

  /// The server refused `statement`, so the statement had no effect.
  case server(ServerError)

  /// A result does not fit the Swift code of `statement`: a programmer's error, or a schema of another version.
  case unexpectedRow(statement: String, message: String)

  /// The pool is closed or not open yet. Nothing was sent.
  case poolUnavailable(String)

  /// An error as the server reports it (PostgreSQL documentation, "Error and Notice Message Fields").
  package struct ServerError: Sendable {
    /// The five-character code, such as `23505` (PostgreSQL documentation, appendix A).
    package let sqlState: String
    package let message: String
    package let detail: String?
    package let hint: String?
    /// The name of the prepared statement or script, or the start of the script's text, on one line.
    package let statement: String
  }

  /// Whether the statement may have taken effect although its result is unknown.
  package var isConnectionLost: Bool {
    if case .connectionLost = self { true } else { false }
  }

  /// Whether the database cannot be used at the moment. A client may try again later.
  package var isDatabaseAway: Bool {
    switch self {
    case .cannotConnect, .connectionLost, .poolUnavailable: true
    case .server(let error): error.isUnavailability
    case .unexpectedRow: false
    }
  }
}

extension PostgresError.ServerError {
  /// Whether the transaction was rolled back because of a conflict (40001, 40P01). It can be run again.
  package var isConcurrencyFailure: Bool {
    sqlState == "40001" || isDeadlock
  }

  /// Whether PostgreSQL ended the transaction to resolve a deadlock.
  package var isDeadlock: Bool { sqlState == "40P01" }

  /// Whether a prepared statement does not exist, or its name is taken (26000, 42P05). A pooler that changes the server
  /// connection causes both.
  var isAboutStatementName: Bool { ["26000", "42P05"].contains(sqlState) }

  /// Whether the server refused a value (classes 22, 23 and 54: data, constraints, limits). The statement may succeed
  /// without that value.
  package var isAboutData: Bool { ["22", "23", "54"].contains { sqlState.hasPrefix($0) } }

  /// Whether the statement reached `lock_timeout`.
  package var isLockTimeout: Bool { sqlState == "55P03" }

  /// Whether the server is starting, stopping or out of a resource, or a time limit was reached. Another attempt may
  /// succeed.
  var isUnavailability: Bool {
    // 57Pxx: shutting down, crashed or starting. 53xxx: out of a resource. 57014 and 55P03: a time limit. 25006: a
    // standby. 08xxx: the connection.
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
