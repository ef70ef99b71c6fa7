import CoreMetrics
import Synchronization

/// Stores metrics, and writes them in Prometheus' text format.
///
/// Making a handle takes a lock, and recording takes none. So callers make a handle once and keep it.
package final class MetricsRegistry: MetricsFactory, Sendable {
  /// The most series of one metric. Further series are not stored, which bounds the memory of this process and of
  /// Prometheus.
  ///
  /// A metric has more series only if a label has unbounded values, which is a mistake.
  static let maximumSeriesCount = 1000

  private struct Family {
    let kind: MetricKind
    /// The key is the text of the labels. It does not depend on their order.
    var series: [String: any Series] = [:]
  }

  private let descriptions: [String: MetricDescription]
  private let families = Mutex<[String: Family]>([:])

  /// - Parameter descriptions: the known metrics. Other metrics have no help, and their histograms have default
  ///   buckets.
  package init(_ descriptions: [MetricDescription]) {
    self.descriptions = Dictionary(
      uniqueKeysWithValues: descriptions.map { (PrometheusText.metricName($0.name), $0) })
  }

  /// Appends all metrics, sorted by name.
  package func write(into text: inout PrometheusText) {
    // A copy, so that other threads can make handles while the text is written.
    let families = families.withLock { $0 }
    for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
      text.begin(name, kind: family.kind, help: descriptions[name]?.help)
      for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
        series.write(name: name, labels: labels, into: &text)
      }
    }
  }

  private func series<Made: Series>(
    _ label: String, _ dimensions: [(String, String)], _ kind: MetricKind, _ make: (MetricDescription?) -> Made
  ) -> Made {
    let name = PrometheusText.metricName(label)
    let labels = PrometheusText.labels(dimensions)
    return families.withLock { families in
      let known = families[name, default: Family(kind: kind)]
      if let found = known.series[labels] as? Made { return found }
      let made = make(descriptions[name])
      if known.kind == kind, known.series.count < Self.maximumSeriesCount {
        families[name, default: Family(kind: kind)].series[labels] = made
      }
      return made
    }
  }

  private func remove(_ handler: AnyObject) {
    families.withLock { families in
      for name in families.keys {
        if let labels = families[name]!.series.first(where: { $0.value === handler })?.key {
          families[name]!.series[labels] = nil
        }
      }
    }
  }

  // MARK: MetricsFactory

  package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    series(label, dimensions, .counter) { _ in CounterSeries() }
  }

  package func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    series(label, dimensions, .counter) { _ in FloatingPointSeries() }
  }

  package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    series(label, dimensions, .gauge) { _ in FloatingPointSeries() }
  }

  package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    guard aggregate else { return series(label, dimensions, .gauge) { _ in FloatingPointSeries() } }
    return series(label, dimensions, .histogram) { HistogramSeries(bounds: $0?.buckets) }
  }

  package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    series(label, dimensions, .histogram) { HistogramSeries(bounds: $0?.buckets) }
  }

  package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
  package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
  package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
  package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
  package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }
}
