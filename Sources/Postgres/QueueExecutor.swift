import Dispatch

/// Runs an actor's jobs on a dispatch queue of its own.
///
/// libpq's calls may take a while (a DNS look-up, a large result) and its socket is watched by dispatch sources. On
/// this executor a connection's work and its socket events share one serial queue, so neither needs a lock and
/// neither ever occupies one of Swift's cooperative threads, of which there are only as many as cores.
final class QueueExecutor: SerialExecutor {
  let queue: DispatchQueue

  init(label: String) {
    queue = DispatchQueue(label: label)
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// Dispatch sources call back on the queue but outside any task; this is how `assumeIsolated` recognises the place.
  func checkIsolated() {
    dispatchPrecondition(condition: .onQueue(queue))
  }
}
