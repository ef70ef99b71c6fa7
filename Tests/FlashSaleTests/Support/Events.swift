import Foundation
import Synchronization
import Testing

/// Something that happens once, and that many may wait for.
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

/// Waits until what other processes do has come about.
///
/// - Returns: how long that took.
@discardableResult
func eventually(
  _ what: Comment, within limit: Duration = .seconds(10), at location: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws -> Duration {
  let start = ContinuousClock.now
  while try await !condition() {
    try #require(start.duration(to: .now) < limit, what, sourceLocation: location)
    try await Task.sleep(for: .milliseconds(5))
  }
  return start.duration(to: .now)
}

/// Microseconds since 1970, rounded down like PostgreSQL's clock, which is the same.
func now() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// Returns at that moment; at once when it has passed.
func sleep(until microseconds: Int64) async throws {
  try await Task.sleep(for: .microseconds(max(0, microseconds - now())))
}

extension APIClient.Hold {
  private static let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

  /// When its time runs out, in microseconds since 1970; a whole number of milliseconds.
  func expiry() throws -> Int64 {
    Int64((try Self.format.parse(expiresAt).timeIntervalSince1970 * 1000).rounded()) * 1000
  }
}
