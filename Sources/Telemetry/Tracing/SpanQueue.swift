import CoreMetrics
import Synchronization

/// Finished spans that wait to be sent.
///
/// If the queue is full, new spans are dropped and counted. So requests never wait for the collector, and the memory is
/// bounded.
package final class SpanQueue: Sendable {
  /// The number of finished spans, by `outcome`.
  package static let spans = MetricDescription(
    "trace_spans_total", help: "Finished spans, by outcome: exported or dropped.")

  /// At 18,000 spans a second, the queue fills in about half a second. A collector usually responds faster.
  package static let defaultCapacity = 8192

  /// The most spans of one request. It is below the limits of collectors, and makes the cost of a request small.
  static let batchSize = 512

  private let capacity: Int
  private let waiting = Mutex<[FinishedSpan]>([])
  /// Wakes the exporter.
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

  /// Removes all spans and returns them.
  func takeAll() -> [FinishedSpan] {
    waiting.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
  }

  func count(exported count: Int) { exported.increment(by: count) }
  func count(dropped count: Int) { dropped.increment(by: count) }
}
