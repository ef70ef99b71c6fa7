import CLibPQ

/// How to reach a database and how long it may take over anything.
public struct ConnectionConfiguration: Sendable {
  /// A libpq connection URI or keyword string; several hosts are allowed (PostgreSQL documentation, "Connection Strings").
  public var url: String

  /// The server ends a statement that runs longer, so that no request and no lock waits without end.
  public var statementTimeout: Duration = .seconds(5)

  /// The server ends a wait for a row lock that lasts longer. Below `statementTimeout`, so that the cause is told apart.
  public var lockTimeout: Duration = .seconds(4)

  /// The server ends a transaction that is left open and silent: a client that stopped must not hold a hot row.
  public var idleInTransactionTimeout: Duration = .seconds(10)

  /// The longest wait for a connection to be made, over all hosts. libpq's own `connect_timeout` only counts in its
  /// blocking calls, which are not used here.
  public var connectTimeout: Duration = .seconds(5)

  /// How much longer than `statementTimeout` to wait for the server's word before the connection is given up: a network
  /// that silently drops packets never reports anything.
  public var responseGrace: Duration = .seconds(2)

  /// Whether statements are prepared by name, once a connection. Off for poolers that hand each transaction to another
  /// server connection and cannot carry names.
  public var usesNamedStatements = true

  /// Shown in `pg_stat_activity`.
  public var applicationName = "flashsale"

  public init(url: String) {
    self.url = url
  }

  /// What libpq finds wrong with `url`, nil when it can be used.
  public var urlProblem: String? {
    var message: UnsafeMutablePointer<CChar>?
    let options = PQconninfoParse(url, &message)
    defer {
      PQconninfoFree(options)
      PQfreemem(message)
    }
    return options == nil ? message.map { String(cString: $0).trimmingLines() } ?? "out of memory" : nil
  }

  /// The value of a keyword in `url`, nil when it has none.
  func value(of keyword: String) -> String? {
    guard let options = PQconninfoParse(url, nil) else { return nil }
    defer { PQconninfoFree(options) }
    var option = options
    while let name = option.pointee.keyword {
      if String(cString: name) == keyword { return option.pointee.val.map { String(cString: $0) } }
      option += 1
    }
    return nil
  }
}
