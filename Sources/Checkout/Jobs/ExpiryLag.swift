import Dispatch

/// Measures how late jobs are run, by what each run told of the time of the next.
///
/// Not known for a job that was made due since, or for the first one of a process; it is not recorded for those. Clocks
/// of two machines are never compared.
struct ExpiryLag {
  private let metrics: CheckoutMetrics?
  /// When the next job is due, on this process's clock.
  private var dueAt: Int64?

  init(metrics: CheckoutMetrics?) {
    self.metrics = metrics
  }

  /// - Parameters:
  ///   - wasJob: whether there was a job to run.
  ///   - start: when it was asked for, in nanoseconds of `DispatchTime`.
  ///   - untilNext: until the next job is due, as of now; nil when there is none.
  mutating func record(wasJob: Bool, start: UInt64, untilNext: Duration?) {
    guard let metrics else { return }
    if wasJob {
      metrics.jobs.increment()
      if let dueAt, Int64(start) >= dueAt { metrics.expiryLag.recordNanoseconds(Int64(start) - dueAt) }
    }
    let now = Int64(DispatchTime.now().uptimeNanoseconds)
    dueAt = untilNext.map { now + $0.components.seconds * 1_000_000_000 + $0.components.attoseconds / 1_000_000_000 }
  }
}
