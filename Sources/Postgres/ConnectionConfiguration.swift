import CLibPQ
import Secrets

/// The address of a database, and the time limits and parameters of its sessions.
package struct ConnectionConfiguration: Sendable {
  /// A libpq connection URI or keyword string; several hosts are allowed (PostgreSQL documentation, "Connection
  /// Strings").
  package var url: Secret

  /// The server ends a statement that runs longer, so no request and no lock waits without end.
  package var statementTimeout: Duration = .seconds(5)

  /// The server ends a wait for a lock that lasts longer. It is shorter than the callers' wait for an answer. So a
  /// caller learns that the statement had no effect, instead of an unknown outcome.
  package var lockTimeout: Duration = .milliseconds(1500)

  /// The server ends a transaction that is idle for longer. A client that stopped must not keep a row locked.
  package var idleInTransactionTimeout: Duration = .seconds(10)

  /// The longest time to connect to one host. A `connect_timeout` in `url` takes precedence. libpq itself uses that
  /// setting only in its blocking calls.
  package var connectTimeout: Duration = .seconds(3)

  /// How much longer than `statementTimeout` to wait for the server's answer. Then the connection counts as lost, since
  /// a network that drops packets never reports an error.
  package var responseGrace: Duration = .seconds(1)

  /// Whether statements are prepared by name, once for each connection. Turn it off for a pooler that gives each
  /// transaction another server connection and does not support prepared statements.
  package var usesNamedStatements = true

  /// Run-time parameters of every session, by name. They override the settings of the role, of the database and of
  /// `options` in `url`. The result of a statement must not depend on such settings. The time limits above do not
  /// override `options`.
  package var parameters = Self.fixedParameters

  /// The parameters that can change the result of a statement, with PostgreSQL's defaults. `jit` is off because it
  /// delays the first run of a statement. All of them exist in PostgreSQL 12, and every role may set them.
  package static let fixedParameters = [
    // A statement waits for a lock, and the next one reads the row. It must see what was committed during the wait.
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

  /// Parameters that some versions lack, with the first version that has them. A statement sets them once the version
  /// is known.
  static let laterParameters: [(name: String, value: String, since: Int32)] = [
    ("plan_cache_mode", "auto", 12_00_00),
    ("idle_session_timeout", "0", 14_00_00),
    ("transaction_timeout", "0", 17_00_00),
  ]

  /// The value of the startup option `options`. If a parameter comes twice, the later value counts.
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

  /// For a URL without a password.
  package init(url: String) {
    self.init(url: Secret(url))
  }

  /// One of several hosts in `url`.
  struct Host {
    let name: String
    /// The settings that replace the lists in `url`.
    let settings: [(keyword: String, value: String)]
  }

  private static let defaultPort = "5432"

  /// The hosts that `url` lists, in their order. A single nil when `url` does not list several hosts.
  var hosts: [Host?] {
    let lists = ["host", "hostaddr", "port"].compactMap { keyword in
      value(of: keyword).map { (keyword, $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)) }
    }
    let count = lists.map(\.1.count).max() ?? 1
    // One port may serve all hosts. libpq reports lists of different lengths. libpq ignores an empty value and would
    // use the whole list instead. So an empty value needs a default, and only ports have one.
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

  /// The longest time to connect to one host: `connect_timeout` in `url`, else `connectTimeout`.
  var hostTimeout: Duration {
    guard let seconds = value(of: "connect_timeout").flatMap(Int.init), seconds > 0 else { return connectTimeout }
    return .seconds(seconds)
  }

  /// How soon a dead host is noticed, unless `url` has other values. A busy connection notices unacknowledged data, an
  /// idle one unanswered keepalive probes.
  static let networkDefaults = [
    ("tcp_user_timeout", "3000"),  // milliseconds
    ("keepalives_idle", "2"),  // seconds
    ("keepalives_interval", "1"),
    ("keepalives_count", "2"),
  ]

  /// The value of a keyword in `url`. Nil when `url` does not have it.
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
  /// Leaves out the URL, which may contain a password.
  package var description: String { "ConnectionConfiguration(url: ***)" }
  package var customMirror: Mirror { Mirror(self, children: ["url": "***"]) }
}
