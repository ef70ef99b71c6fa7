import Synchronization

/// Wakes the deliverer of this server after a commit that may have written events. Other servers' deliverers poll.
package final class EventSignal: Sendable {
  private let alarm = Alarm()
  /// Whether any endpoint exists, as of the last claim. Without one, commits do not wake the deliverer.
  private let hasEndpoints = Atomic(false)

  init() {}

  /// Call it after the commit.
  func ring() {
    if hasEndpoints.load(ordering: .relaxed) { alarm.ring() }
  }

  func note(hasEndpoints: Bool) {
    self.hasEndpoints.store(hasEndpoints, ordering: .relaxed)
  }

  /// Returns after a commit that may have written events, when `duration` has passed, or when the task is cancelled. Only
  /// one task may wait.
  package func wait(atMost duration: Duration) async {
    await alarm.wait(atMost: duration)
  }
}
