import Logging
import Telemetry

/// Counts requests with a wrong token, logs one at most every ten seconds, and delays their responses.
struct WrongTokens: Sendable {
  /// The routes that a token gives access to.
  enum Realm: String, CaseIterable {
    case admin, metrics
  }

  /// The delay of a response. One connection can try at most two tokens a second.
  static let delay: Duration = .milliseconds(500)

  private let counter: CounterByLabel?
  private let log: SparseLog

  /// - Parameter metrics: with nil, requests are not counted.
  init(metrics: MetricsRegistry?, log: SparseLog) {
    counter = metrics.map {
      CounterByLabel(.wrongTokens, label: "token", known: Realm.allCases.map(\.rawValue), in: $0)
    }
    self.log = log
  }

  /// Returns after `delay`. Then the caller sends the response.
  func record(_ realm: Realm) async {
    counter?.increment(realm.rawValue)
    log.warning("a request with a wrong token was refused", reason: "wrong_\(realm.rawValue)_token")
    // Nothing cancels the caller's task, so the sleep does not end early.
    try? await Task.sleep(for: Self.delay)
  }
}
