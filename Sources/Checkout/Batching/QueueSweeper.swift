import Time

/// A queue that can fail callers that have waited too long.
protocol WaitingQueue: Sendable {
  /// Fails the callers that arrived at `cutoff` or before and whose batch has not started, with
  /// `CheckoutError.overloaded`.
  ///
  /// - Returns: the earliest arrival of the callers that still wait; nil when there is none.
  func expire(arrivedBefore cutoff: Moment) -> Moment?
}

/// Fails callers that have waited longer than the timeout, in several queues. It works even if no batch ends because
/// the database does not answer.
///
/// One task serves all queues. It sleeps until the oldest caller's timeout, or for one timeout when no caller waits. A
/// caller that arrives meanwhile times out later than that.
struct QueueSweeper {
  let queues: [any WaitingQueue]
  /// The longest wait of a caller for its batch to start.
  let timeout: Duration

  /// Returns when its task is cancelled.
  func run() async {
    while !Task.isCancelled {
      let now = Moment.now
      let oldest = queues.compactMap { $0.expire(arrivedBefore: now - timeout) }.min()
      try? await Task.sleep(for: timeout - (oldest.map { now - $0 } ?? .zero))
    }
  }
}
