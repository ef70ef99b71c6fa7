import Dispatch

/// Runs an actor's jobs on a dispatch queue of its own.
///
/// A job may wait on it, for a host name as for the server's answer: a serial queue gets a thread of its own and never
/// occupies one of Swift's cooperative threads, of which there are only as many as cores. (A thread started for each
/// connection wakes no faster.) Dispatch sources can call back on the same queue, so they need no lock.
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
