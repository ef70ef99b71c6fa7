import CoreMetrics
import Time
import Tracing

/// Measures the batches of one use case. Records a span for each batch with a request that has a tracing context.
struct BatchObserver: Sendable {
  /// The arrival of a request: its time and its tracing context.
  struct Arrival: Sendable {
    let time: Moment
    fileprivate let context: InstrumentationContext?
  }

  private let spanName: String
  private let size: Recorder?
  private let wait: Timer?
  private let tracer: (any Tracer)?

  /// - Parameters:
  ///   - metrics: nil measures nothing.
  ///   - tracer: nil records no spans.
  init(_ useCase: String, metrics: CheckoutMetrics?, tracer: (any Tracer)?) {
    spanName = useCase + " batch"
    size = metrics?.batchSize(of: useCase)
    wait = metrics?.batchWait(of: useCase)
    self.tracer = tracer
  }

  static let none = BatchObserver("", metrics: nil, tracer: nil)

  /// Call it when a request arrives, in its tracing context.
  func arrival() -> Arrival {
    Arrival(
      time: .now, context: tracer == nil ? nil : InstrumentationContext.current)
  }

  /// Runs a batch. The batch's span is a child of the span of the first request, which waited longest.
  func batch<Result>(
    of arrivals: [Arrival], _ body: () throws -> Result
  ) rethrows -> Result {
    if let size, let wait {
      let now = Moment.now
      size.record(arrivals.count)
      for arrival in arrivals { wait.recordNanoseconds(now.nanoseconds - arrival.time.nanoseconds) }
    }
    guard let tracer, let context = arrivals.lazy.compactMap(\.context).first else { return try body() }
    let span = tracer.startAnySpan(spanName, context: context)
    defer { span.end() }
    if span.isRecording { span.attributes = ["flashsale.batch.size": .int(Int64(arrivals.count))] }
    do {
      return try body()
    } catch {
      span.recordError(error)
      span.setStatus(SpanStatus(code: .error))
      throw error
    }
  }
}

extension Timer {
  func record(_ duration: Duration) {
    recordNanoseconds(Int64(duration / .nanoseconds(1)))
  }
}
