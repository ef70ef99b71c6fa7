import Dispatch

enum SocketDirection {
  case readable, writable
}

/// Waits once until a descriptor is readable or writable, or the deadline has passed.
///
/// Returns only after the dispatch source's cancel handler ran, so that the descriptor may be closed, or replaced by
/// libpq's next attempt at another host, as soon as this returns.
///
/// - Returns: false when the deadline passed first.
func waitUntilReady(
  _ direction: SocketDirection, descriptor: Int32, deadline: DispatchTime, queue: DispatchQueue
) async -> Bool {
  await withCheckedContinuation { continuation in
    let source: any DispatchSourceProtocol =
      switch direction {
      case .readable: DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
      case .writable: DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)
      }
    let timer = DispatchSource.makeTimerSource(queue: queue)
    // All three handlers run on one serial queue, so this needs no lock.
    nonisolated(unsafe) var isReady = false
    source.setEventHandler {
      isReady = true
      source.cancel()
    }
    timer.setEventHandler { source.cancel() }
    source.setCancelHandler {
      timer.cancel()
      continuation.resume(returning: isReady)
    }
    timer.schedule(deadline: deadline)
    timer.activate()
    source.activate()
  }
}
