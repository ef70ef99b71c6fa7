import CLibPQ
import Secrets

/// How to reach a database and how long it may take over anything.
package struct ConnectionConfiguration: Sendable {
  /// A libpq connection URI or keyword string; several hosts are allowed (PostgreSQL documentation, "Connection Strings").
  package var url: Secret

  /// The server ends a statement that runs longer, so that no request and no lock waits without end.
  package var statementTimeout: Duration = .seconds(5)

  /// The server ends a wait for a lock that lasts longer. Well below the time for which callers wait for an answer: that
  /// a statement was ended, and so did nothing, is a better one than that nothing is known.
  package var lockTimeout: Duration = .milliseconds(1500)

  /// The server ends a transaction that is left open and silent: a client that stopped must not hold a hot row.
  package var idleInTransactionTimeout: Duration = .seconds(10)

  /// The longest wait for one host to let us in, unless `url` has `connect_timeout`, which libpq itself minds only in its
  /// blocking calls, and those are not used here.
  package var connectTimeout: Duration = .seconds(3)

  /// How much longer than `statementTimeout` to wait for the server's word before the connection is given up: a network
  /// that silently drops packets never reports anything.
  package var responseGrace: Duration = .seconds(1)

  /// Whether statements are prepared by name, once a connection. Off for poolers that hand each transaction to another
  /// server connection and cannot carry names.
  package var usesNamedStatements = true

  /// Run-time parameters of every session, by name. They outrank the settings of the role, of the database and of
  /// `options` in `url`: the result of a statement must not depend on these. The time limits above yield to `options`.
  package var parameters = Self.fixedParameters

  /// The parameters that can change what a statement means, each at PostgreSQL's default, and `jit`, which delays the
  /// first run of a statement. All exist in PostgreSQL 12 and may be set by every role.
  package static let fixedParameters = [
    // What was locked is read in the next statement, which has to see what was committed during the wait.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "on",
    "role": "none",
    "jit": "off",
  ]

  /// The same for parameters that older versions lack. They are set by a statement, once the version is known.
  static let laterParameters: [(name: String, value: String, since: Int32)] = [
    ("plan_cache_mode", "auto", 12_00_00),
    ("idle_session_timeout", "0", 14_00_00),
    ("transaction_timeout", "0", 17_00_00),
  ]

  /// The value of the startup option `options`. Of two values of one parameter the later one counts.
  var sessionOptions: String {
    func milliseconds(_ duration: Duration) -> String { String(Int(duration / .milliseconds(1))) }
    func option(_ name: String, _ value: String) -> String {
      let escaped = value.replacing("\\", with: "\\\\").replacing(" ", with: "\\ ")
      return "-c \(name)=\(escaped)"
    }
    let limits = [
      option("statement_timeout", milliseconds(statementTimeout)),
      option("lock_timeout", milliseconds(lockTimeout)),
      option("idle_in_transaction_session_timeout", milliseconds(idleInTransactionTimeout)),
    ]
    let fixed = parameters.sorted { $0.key < $1.key }.map { option($0.key, $0.value) }
    return (limits + [value(of: "options") ?? ""] + fixed).joined(separator: " ")
  }

  /// Shown in `pg_stat_activity`.
  package var applicationName = "flashsale"

  package init(url: Secret) {
    self.url = url
  }

  /// For a URL without anything secret in it.
  package init(url: String) {
    self.init(url: Secret(url))
  }

  /// A host of several in `url`.
  struct Host {
    let name: String
    /// What takes the place of the lists in `url`.
    let settings: [(keyword: String, value: String)]
  }

  private static let defaultPort = "5432"

  /// The hosts that `url` lists, in their order. One that is nil stands for what the URL says when it lists none.
  var hosts: [Host?] {
    let lists = ["host", "hostaddr", "port"].compactMap { keyword in
      value(of: keyword).map { (keyword, $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)) }
    }
    let count = lists.map(\.1.count).max() ?? 1
    // One port may stand for that of all hosts; of lists that do not fit together libpq complains. It takes an empty value
    // for none, and would go by the list again: a default has to be put in its place, which only ports have.
    let isUsable = lists.allSatisfy { keyword, values in
      [1, count].contains(values.count) && (keyword == "port" || !values.contains(""))
    }
    guard count > 1, isUsable else { return [nil] }
    return (0..<count).map { index in
      let settings = lists.map { keyword, values in
        let value = values[min(index, values.count - 1)]
        return (keyword, value.isEmpty ? Self.defaultPort : value)
      }
      return Host(name: settings.map(\.1).joined(separator: ":"), settings: settings)
    }
  }

  /// The longest wait for a host; `connect_timeout` in `url` has the last word.
  var hostTimeout: Duration {
    guard let seconds = value(of: "connect_timeout").flatMap(Int.init), seconds > 0 else { return connectTimeout }
    return .seconds(seconds)
  }

  /// How soon a host that has vanished is noticed, unless `url` says otherwise: by what it does not acknowledge, and on
  /// an idle connection by probes that get no reply.
  static let networkDefaults = [
    ("tcp_user_timeout", "3000"),  // milliseconds
    ("keepalives_idle", "2"),  // seconds
    ("keepalives_interval", "1"),
    ("keepalives_count", "2"),
  ]

  /// The value of a keyword in `url`, nil when it has none.
  func value(of keyword: String) -> String? {
    guard let options = PQconninfoParse(url.revealed(), nil) else { return nil }
    defer { PQconninfoFree(options) }
    var option = options
    while let name = option.pointee.keyword {
      if String(cString: name) == keyword { return option.pointee.val.map { String(cString: $0) } }
      option += 1
    }
    return nil
  }
}

extension ConnectionConfiguration: CustomStringConvertible, CustomReflectable {
  /// Without the URL, which may contain a password.
  package var description: String { "ConnectionConfiguration(url: ***)" }
  package var customMirror: Mirror { Mirror(self, children: ["url": "***"]) }
}
