import CoreMetrics

/// What a metric is called and means. Declared once, beside what records it.
package struct MetricDescription: Sendable {
  package let name: String
  /// One line for the person who reads the metric.
  package let help: String
  /// Upper bounds of a histogram's buckets, in ascending order, without infinity. Empty for all other kinds.
  package let buckets: [Double]

  package init(_ name: String, help: String, buckets: [Double] = []) {
    self.name = name
    self.help = help
    self.buckets = buckets
  }

  package func counter(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Counter {
    Counter(label: name, dimensions: labels, factory: factory)
  }

  /// For values without a unit; durations go to `timer`.
  package func histogram(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Recorder {
    Recorder(label: name, dimensions: labels, aggregate: true, factory: factory)
  }

  /// A histogram in seconds.
  package func timer(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Timer {
    Timer(label: name, dimensions: labels, factory: factory)
  }
}
