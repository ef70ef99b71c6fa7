import Dispatch

/// Runs an actor's jobs on a serial dispatch queue.
///
/// A job may block, on a name look-up or on the server's answer. A serial queue has its own thread, so it does not
/// block one of Swift's cooperative threads. There are only as many of those as cores. A thread for each connection was
/// measured to wake no faster. Dispatch sources can use the same queue, so they need no lock.
final class QueueExecutor: SerialExecutor {
  let queue: DispatchQueue

  init(label: String) {
    queue = DispatchQueue(label: label)
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// `assumeIsolated` calls this. Handlers of dispatch sources run on the queue, but in no task.
  func checkIsolated() {
    dispatchPrecondition(condition: .onQueue(queue))
  }
}
