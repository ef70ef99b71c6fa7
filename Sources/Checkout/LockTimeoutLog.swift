import Logging
import Postgres
import Synchronization
import Time

/// Logs that statements reached `lock_timeout`, at most once in ten seconds.
///
/// Another session may have locked a product's row or an advisory lock. The product's buyers get 503 then, so an
/// operator must know.
package final class LockTimeoutLog: Sendable {
  private static let interval: Duration = .seconds(10)

  private struct State {
    var lastTime: Moment?
    /// The number of lock timeouts since `lastTime`.
    var count = 0
  }

  private let logger: Logger
  private let state = Mutex(State())

  package init(_ logger: Logger) {
    self.logger = logger
  }

  /// - Parameter error: errors other than lock timeouts are ignored.
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
      "a statement waited too long for a lock; pg_locks and pg_blocking_pids() show the session that has it",
      metadata: ["statement": "\(error.statement)", "error": "\(error.message)", "count": "\(count)"])
  }
}
