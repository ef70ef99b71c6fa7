import Time

/// A queue whose members can be told that they have waited too long.
protocol WaitingQueue: Sendable {
  /// Answers those who arrived by then and whose turn has not come with `CheckoutError.overloaded`.
  ///
  /// - Returns: when the longest waiting of the others arrived.
  func expire(arrivedBefore cutoff: Moment) -> Moment?
}

/// Ends the waits that take too long, in several queues: also while the database does not answer, and so no batch ends.
///
/// One task for all of them. It sleeps until the longest waiting is due, or for one time-out when nobody waits; whoever
/// arrives while it sleeps is due later than that.
struct QueueSweeper {
  let queues: [any WaitingQueue]
  let timeout: Duration

  /// Works until it is cancelled.
  func run() async {
    while !Task.isCancelled {
      let now = Moment.now
      let oldest = queues.compactMap { $0.expire(arrivedBefore: now - timeout) }.min()
      try? await Task.sleep(for: timeout - (oldest.map { now - $0 } ?? .zero))
    }
  }
}
