import Glibc
import Time

/// Duplicates a socket's descriptor for a dispatch source. The source's cancel handler closes the duplicate.
///
/// Without the duplicate, two sockets could share a number in dispatch:
///
///     libpq:    closes its socket when the server hangs up; the source is still registered under its number
///     process:  opens another socket, which gets the same number
///     dispatch: takes the number for the closed socket, and reports nothing for either socket
///
/// - Returns: nil when the process has no descriptor left.
func duplicateForWatching(_ descriptor: Int32) -> Int32? {
  let duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
  return duplicate >= 0 ? duplicate : nil
}

/// Calls `close` of the C library, for a type that has a method of the same name.
func closeDescriptor(_ descriptor: Int32) {
  close(descriptor)
}

/// Makes `close` discard the bytes that the peer has not acknowledged. Otherwise the system would go on sending them.
func discardUnsentOnClose(_ descriptor: Int32) {
  var setting = linger(l_onoff: 1, l_linger: 0)
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
}

/// The operations that would not block on a socket.
struct SocketReadiness: OptionSet {
  let rawValue: Int16

  /// Reading returns bytes, the end of the stream or an error.
  static let readable = SocketReadiness(rawValue: Int16(POLLIN))
  static let writable = SocketReadiness(rawValue: Int16(POLLOUT))
}

/// Whether reading from a descriptor would return at once.
func isReadableNow(_ descriptor: Int32) -> Bool {
  var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&request, 1, 0) == 1
}

/// Blocks the thread until a descriptor is ready for any of `wanted`, or the deadline has passed (poll(2)).
///
/// - Returns: the operations that are ready; none after the deadline. An error counts as `readable`, also when `wanted`
///   does not contain it.
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
