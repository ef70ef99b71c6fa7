import Dispatch

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A number of its own for an open socket, for a dispatch source to watch, and to be closed in its cancel handler.
///
/// libpq closes its socket by itself the moment it finds that the server hung up. Were a source still registered under
/// that number, the next socket of the process would get it, and of neither would anything be heard again: dispatch
/// takes a number it knows for the descriptor that it knows.
///
/// - Returns: nil when the process has no descriptor left.
func duplicateForWatching(_ descriptor: Int32) -> Int32? {
  let duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
  return duplicate >= 0 ? duplicate : nil
}

/// `close`, which inside a type with a method of that name cannot be called.
func closeDescriptor(_ descriptor: Int32) {
  close(descriptor)
}

/// Whether reading from a descriptor would give something at once: bytes, or its end.
func isReadableNow(_ descriptor: Int32) -> Bool {
  var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&request, 1, 0) == 1
}

enum SocketDirection {
  case readable, writable
}

/// Waits once until a descriptor is readable or writable, or the deadline has passed.
///
/// - Returns: false when the deadline passed first, or the process has no descriptor left.
func waitUntilReady(
  _ direction: SocketDirection, descriptor: Int32, deadline: DispatchTime, queue: DispatchQueue
) async -> Bool {
  guard let descriptor = duplicateForWatching(descriptor) else { return false }
  return await withCheckedContinuation { continuation in
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
      closeDescriptor(descriptor)
      continuation.resume(returning: isReady)
    }
    timer.schedule(deadline: deadline)
    timer.activate()
    source.activate()
  }
}
