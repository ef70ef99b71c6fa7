import CoreMetrics

/// The name and the meaning of a metric. It is declared once, next to the code that records the metric.
package struct MetricDescription: Sendable {
  package let name: String
  /// One line of text for operators (`# HELP`).
  package let help: String
  /// The upper bounds of a histogram's buckets, in ascending order, without infinity. Empty for all other kinds.
  package let buckets: [Double]

  package init(_ name: String, help: String, buckets: [Double] = []) {
    self.name = name
    self.help = help
    self.buckets = buckets
  }

  /// A counter with these labels.
  package func counter(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Counter {
    Counter(label: name, dimensions: labels, factory: factory)
  }

  /// A histogram of values without a unit. For durations, use `timer`.
  package func histogram(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Recorder {
    Recorder(label: name, dimensions: labels, aggregate: true, factory: factory)
  }

  /// A histogram of durations, in seconds.
  package func timer(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Timer {
    Timer(label: name, dimensions: labels, factory: factory)
  }
}
