import CLibPQ
import Dispatch

/// Asks the server to stop the statement of a connection (PostgreSQL documentation, chapter 34.7).
///
/// It is Sendable without a lock. A `PGcancel` is read-only once it exists, and any thread may call `PQcancel`.
final class CancelHandle: @unchecked Sendable {
  private let pointer: OpaquePointer

  /// Nil when libpq has no memory.
  init?(_ connection: OpaquePointer) {
    guard let pointer = PQgetCancel(connection) else { return nil }
    self.pointer = pointer
  }

  deinit {
    PQfreeCancel(pointer)
  }

  /// Returns at once. `PQcancel` opens its own connection and blocks, so it runs on its own thread. Its result is
  /// ignored: if the request fails, the statement's time limit ends the statement.
  func requestInBackground() {
    // A serial queue gets its own thread. On Linux, `DispatchQueue.global()` uses the threads of Swift's tasks. There
    // are only as many of them as cores.
    DispatchQueue(label: "postgres.cancel").async {
      var message = [CChar](repeating: 0, count: 256)
      PQcancel(self.pointer, &message, Int32(message.count))
    }
  }
}
