/// Waits for changes of a product's stock. Over when nobody refers to it any more.
package final class StockWatch: Sendable {
  /// The longest wait, and so the longest delay of a change that was not heard of.
  package static let pollInterval: Duration = .seconds(1)

  private let alarm: Alarm
  private let onEnd: @Sendable () -> Void

  init(alarm: Alarm, onEnd: @escaping @Sendable () -> Void) {
    self.alarm = alarm
    self.onEnd = onEnd
  }

  deinit { onEnd() }

  /// Returns when the stock may have changed since the last call, after `pollInterval` in any case, and when the task
  /// is cancelled. One task at a time.
  package func change() async {
    await alarm.nap(atMost: Self.pollInterval)
  }

  /// Ends a wait, or the next one, as a change does.
  package func wake() {
    alarm.ring()
  }
}
