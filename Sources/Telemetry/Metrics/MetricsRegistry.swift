import CoreMetrics
import Synchronization

/// Keeps what is measured, and shows it in Prometheus' text format.
///
/// Making a handle takes a lock; recording with it takes none. So handles are made once and kept by those who record.
package final class MetricsRegistry: MetricsFactory, Sendable {
  /// Series of one metric at most. More mean that something unbounded became a label: what goes beyond is not shown, so
  /// that neither this process nor whoever reads the metrics drowns in it.
  static let maximumSeriesCount = 1000

  private struct Family {
    let kind: MetricKind
    /// By the text of the labels, which is the same for the same labels in any order.
    var series: [String: any Series] = [:]
  }

  private let descriptions: [String: MetricDescription]
  private let families = Mutex<[String: Family]>([:])

  /// - Parameter descriptions: of the metrics whose meaning or buckets are known. Others have no help, and buckets for
  ///   durations.
  package init(_ descriptions: [MetricDescription]) {
    self.descriptions = Dictionary(
      uniqueKeysWithValues: descriptions.map { (PrometheusText.metricName($0.name), $0) })
  }

  /// Appends everything that was recorded, by name.
  package func write(into text: inout PrometheusText) {
    // Copied, so that handles can be made while the text is written.
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
