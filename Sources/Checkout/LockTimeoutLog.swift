import Logging
import Postgres
import Synchronization
import Time

/// Says in the log that statements wait for a lock for too long: somebody outside may hold a product's row, or an advisory lock,
/// and its buyers are told 503. At most once in ten seconds, since each of them would say it.
package final class LockTimeoutLog: Sendable {
  private static let interval: Duration = .seconds(10)

  private struct State {
    var lastTime: Moment?
    /// Since then.
    var count = 0
  }

  private let logger: Logger
  private let state = Mutex(State())

  package init(_ logger: Logger) {
    self.logger = logger
  }

  /// - Parameter error: of any kind; others than lock timeouts are passed over.
  package func note(_ error: PostgresError.ServerError) {
    note(error, at: .now)
  }

  func note(_ error: PostgresError.ServerError, at now: Moment) {
    guard error.isLockTimeout else { return }
    let count = state.withLock { state -> Int? in
      state.count += 1
      if let last = state.lastTime, now - last < Self.interval { return nil }
      defer { state = State(lastTime: now) }
      return state.count
    }
    guard let count else { return }
    logger.warning(
      "a lock was waited for too long; pg_locks and pg_blocking_pids() show the session that has it",
      metadata: ["statement": "\(error.statement)", "error": "\(error.message)", "count": "\(count)"])
  }
}
