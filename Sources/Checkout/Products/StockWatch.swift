/// Waits for changes of a product's stock. The watch ends when its last reference is gone.
package final class StockWatch: Sendable {
  /// The longest wait. A change whose notification was lost is noticed after this time.
  package static let pollInterval: Duration = .seconds(1)

  private let alarm: Alarm
  private let onEnd: @Sendable () -> Void

  init(alarm: Alarm, onEnd: @escaping @Sendable () -> Void) {
    self.alarm = alarm
    self.onEnd = onEnd
  }

  deinit { onEnd() }

  /// Returns when the stock may have changed since the last call, at the latest after `pollInterval`. Also returns when
  /// the task is cancelled. Only one task may wait.
  package func change() async {
    await alarm.wait(atMost: Self.pollInterval)
  }

  /// Ends the wait as a change does. Without a wait, it ends the next one.
  package func wake() {
    alarm.ring()
  }
}
