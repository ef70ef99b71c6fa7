import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing
import Time

/// An event that happens once. Any number of tasks may wait for it.
final class Event: Sendable {
  private enum State {
    case awaited([CheckedContinuation<Void, Never>])
    case happened
  }

  private let state = Mutex(State.awaited([]))

  func signal() {
    let waiters = state.withLock { state in
      guard case .awaited(let waiters) = state else { return [CheckedContinuation<Void, Never>]() }
      state = .happened
      return waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let hasHappened = state.withLock { state in
        guard case .awaited(let waiters) = state else { return true }
        state = .awaited(waiters + [continuation])
        return false
      }
      if hasHappened { continuation.resume() }
    }
  }
}

/// Waits until other processes have made a condition true.
///
/// The limit applies to an idle machine. On a busy machine the naps of this function take too long. The excess is added
/// to the limit, once for each participating process.
///
/// - Returns: the time until the condition was true.
@discardableResult
func eventually(
  _ what: Comment, within limit: Duration = .seconds(10), at location: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws -> Duration {
  let start = Moment.now
  var lateness = Duration.zero
  while try await !condition() {
    try #require(start.duration(to: .now) < limit + lateness * participants, what, sourceLocation: location)
    lateness += try await nap()
  }
  return start.duration(to: .now)
}

/// The processes that a busy machine delays: the test, a server, the server's backend and the test's backend.
let participants = 4

/// Sleeps for five milliseconds.
///
/// - Returns: how much longer than usual that took.
private func nap() async throws -> Duration {
  let start = Moment.now
  try await Task.sleep(for: .milliseconds(5))
  return max(.zero, start.duration(to: .now) - .milliseconds(7))
}

/// Waits until a moment, and measures how late this machine and its database are then. No server can be earlier.
func machineLateness(at microseconds: Int64, asking database: Pool) async throws -> Duration {
  try await sleep(until: microseconds)
  _ = try await database.integer("select 1")
  return .microseconds(now() - microseconds) * participants
}

/// Microseconds since 1970, rounded down. PostgreSQL reads the same clock.
func now() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// Returns at a moment, or at once if it has passed.
func sleep(until microseconds: Int64) async throws {
  try await Task.sleep(for: .microseconds(max(0, microseconds - now())))
}

extension APIClient.Hold {
  private static let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

  /// `expires_at` in microseconds since 1970, a whole number of milliseconds.
  func expiry() throws -> Int64 {
    Int64((try Self.format.parse(expiresAt).timeIntervalSince1970 * 1000).rounded()) * 1000
  }
}
