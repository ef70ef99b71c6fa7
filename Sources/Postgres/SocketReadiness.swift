import Glibc
import Time

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

/// Has the system forget, when the socket is closed, what the other side has not acknowledged, instead of sending it
/// over and over behind our back.
func discardUnsent(_ descriptor: Int32) {
  var setting = linger(l_onoff: 1, l_linger: 0)
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
}

/// What a socket is ready for.
struct SocketReadiness: OptionSet {
  let rawValue: Int16

  /// There are bytes, or the end, or an error, of which reading tells.
  static let readable = SocketReadiness(rawValue: Int16(POLLIN))
  static let writable = SocketReadiness(rawValue: Int16(POLLOUT))
}

/// Whether reading from a descriptor would give something at once: bytes, or its end.
func isReadableNow(_ descriptor: Int32) -> Bool {
  var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&request, 1, 0) == 1
}

/// Blocks the thread until a descriptor is ready for any of `wanted`, or the deadline has passed.
///
/// - Returns: what it is ready for: nothing when the deadline passed first, `readable` for an error, wanted or not.
func waitUntilReady(
  _ descriptor: Int32, for wanted: SocketReadiness, deadline: Moment
) -> SocketReadiness {
  var request = pollfd(fd: descriptor, events: wanted.rawValue, revents: 0)
  while true {
    let milliseconds = ((deadline - .now) / .milliseconds(1)).rounded(.up)
    let count = poll(&request, 1, Int32(min(max(milliseconds, 0), Double(Int32.max))))
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return [] }
    let ready = SocketReadiness(rawValue: request.revents)
    return ready == .writable ? ready : ready.intersection(.writable).union(.readable)
  }
}
