import CoreMetrics

/// What a metric is called and means. Declared once, beside what records it.
public struct MetricDescription: Sendable {
  public let name: String
  /// One line for the person who reads the metric.
  public let help: String
  /// Upper bounds of a histogram's buckets, in ascending order, without infinity. Empty for all other kinds.
  public let buckets: [Double]

  public init(_ name: String, help: String, buckets: [Double] = []) {
    self.name = name
    self.help = help
    self.buckets = buckets
  }

  public func counter(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Counter {
    Counter(label: name, dimensions: labels, factory: factory)
  }

  /// For values without a unit; durations go to `timer`.
  public func histogram(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Recorder {
    Recorder(label: name, dimensions: labels, aggregate: true, factory: factory)
  }

  /// A histogram in seconds.
  public func timer(_ labels: [(String, String)] = [], in factory: any MetricsFactory) -> Timer {
    Timer(label: name, dimensions: labels, factory: factory)
  }
}
