import CLibPQ
import Dispatch

/// Asks the server to stop what a connection is running.
///
/// Sendable without a lock: libpq states that a `PGcancel` is read-only once made and that `PQcancel` may be called
/// from another thread than the one that works the connection (PostgreSQL documentation, chapter 34.7).
final class CancelHandle: @unchecked Sendable {
  private let pointer: OpaquePointer

  init?(_ connection: OpaquePointer) {
    guard let pointer = PQgetCancel(connection) else { return nil }
    self.pointer = pointer
  }

  deinit {
    PQfreeCancel(pointer)
  }

  /// Returns at once. `PQcancel` opens a connection of its own and blocks, so it runs on a thread of its own. Whether it
  /// succeeded does not matter: the statement's own time limit is behind it.
  func requestInBackground() {
    // A serial queue gets a thread of its own. Those of `DispatchQueue.global()` are on Linux the very threads that Swift's
    // tasks run on, and there are only as many as cores.
    DispatchQueue(label: "postgres.cancel").async {
      var message = [CChar](repeating: 0, count: 256)
      PQcancel(self.pointer, &message, Int32(message.count))
    }
  }
}
