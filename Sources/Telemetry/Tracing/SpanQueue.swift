import CoreMetrics
import Synchronization

/// Spans that wait to be sent. When the collector does not keep up, new ones are dropped and counted: requests never wait
/// for it, and the memory that it can cost is bounded.
package final class SpanQueue: Sendable {
  /// What became of spans.
  package static let spans = MetricDescription(
    "trace_spans_total", help: "Finished spans by what became of them: exported, or dropped on the way.")

  /// At 18,000 spans a second, what comes in half a second: longer than a collector takes to answer.
  package static let defaultCapacity = 8192

  /// Sent in one request: few enough for a collector's limits, many enough to share its cost.
  static let batchSize = 512

  private let capacity: Int
  private let waiting = Mutex<[FinishedSpan]>([])
  /// Ends the exporter's nap.
  let (wakeups, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  private let exported: Counter
  private let dropped: Counter

  package init(capacity: Int = defaultCapacity, metrics: any MetricsFactory) {
    self.capacity = capacity
    exported = Self.spans.counter([("outcome", "exported")], in: metrics)
    dropped = Self.spans.counter([("outcome", "dropped")], in: metrics)
  }

  func append(_ span: FinishedSpan) {
    let count = waiting.withLock { waiting -> Int? in
      guard waiting.count < capacity else { return nil }
      waiting.append(span)
      return waiting.count
    }
    guard let count else { return dropped.increment() }
    if count % Self.batchSize == 0 { wake.yield() }
  }

  /// Everything that waits.
  func takeAll() -> [FinishedSpan] {
    waiting.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
  }

  func count(exported count: Int) { exported.increment(by: count) }
  func count(dropped count: Int) { dropped.increment(by: count) }
}
