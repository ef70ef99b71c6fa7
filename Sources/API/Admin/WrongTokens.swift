import Logging
import Telemetry

/// Counts requests with a wrong token, logs them at most once in ten seconds, and delays their answers.
struct WrongTokens: Sendable {
  /// So a client on one connection tries at most two a second.
  static let delay: Duration = .milliseconds(500)

  private let counter: CounterByLabel?
  private let log: SparseLog

  /// - Parameter metrics: nil counts nothing.
  init(metrics: MetricsRegistry?, log: SparseLog) {
    counter = metrics.map {
      CounterByLabel(
        .wrongTokens, label: "token", known: BearerAuthentication.Realm.allCases.map(\.rawValue), in: $0)
    }
    self.log = log
  }

  /// Returns when the answer may be sent.
  func record(_ realm: BearerAuthentication.Realm) async {
    counter?.increment(realm.rawValue)
    log.warning("a request with a wrong token was refused", reason: "wrong_\(realm.rawValue)_token")
    // Ends early only when the connection or the server does.
    try? await Task.sleep(for: Self.delay)
  }
}
