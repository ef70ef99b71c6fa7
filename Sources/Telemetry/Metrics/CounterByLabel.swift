import CoreMetrics

/// A counter with one label, such as an outcome. The label's values are words of the program, never input.
package struct CounterByLabel: Sendable {
  private let handles: HandleTable<String, Counter>

  /// More values than any such label has.
  private static let capacity = 64

  /// - Parameter known: values that are shown from the start, as 0: a rate can only be told from a counter's first value on.
  package init(_ description: MetricDescription, label: String, known: [String], in factory: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { description.counter([(label, $0)], in: factory) }
    for value in known { _ = handles[value] }
  }

  package func increment(_ value: String) {
    handles[value].increment()
  }
}

/// A histogram of durations with one label, such as the name of a statement. The label's values are words of the program,
/// never input.
package struct TimerByLabel: Sendable {
  private let handles: HandleTable<String, Timer>

  /// More values than any such label has.
  private static let capacity = 64

  package init(_ description: MetricDescription, label: String, in factory: any MetricsFactory) {
    handles = HandleTable(capacity: Self.capacity) { description.timer([(label, $0)], in: factory) }
  }

  package func record(_ value: String, nanoseconds: Int64) {
    handles[value].recordNanoseconds(nanoseconds)
  }
}
