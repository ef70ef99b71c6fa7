import CoreMetrics

/// A counter with one label, such as an outcome. The values of the label are words of the program, never input.
package struct CounterByLabel: Sendable {
  private let handles: HandleTable<String, Counter>

  /// More than the number of values of any such label.
  private static let capacity = 64

  /// - Parameter known: values whose counters exist from the start, with 0. Otherwise Prometheus would miss the first
  ///   increment.
  package init(_ description: MetricDescription, label: String, known: [String], in factory: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { description.counter([(label, $0)], in: factory) }
    for value in known { _ = handles[value] }
  }

  package func increment(_ value: String, by amount: Int64 = 1) {
    handles[value].increment(by: amount)
  }
}

/// A histogram of durations with one label, such as the name of a statement. The values of the label are words of the
/// program, never input.
package struct TimerByLabel: Sendable {
  private let handles: HandleTable<String, Timer>

  /// More than the number of values of any such label.
  private static let capacity = 64

  package init(_ description: MetricDescription, label: String, in factory: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { description.timer([(label, $0)], in: factory) }
  }

  package func record(_ value: String, nanoseconds: Int64) {
    handles[value].recordNanoseconds(nanoseconds)
  }
}
