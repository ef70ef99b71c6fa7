import Synchronization

/// Whether the server drains, and the listener that it closes after that.
///
/// A draining server responds to requests, and closes each connection after a response.
final class Draining: Sendable {
  private let state = Atomic(false)
  private let listening = Mutex<Listener?>(nil)

  var isUnderWay: Bool { state.load(ordering: .relaxed) }

  func begin() { state.store(true, ordering: .relaxed) }

  /// Nil until the server listens.
  var listener: Listener? {
    get { listening.withLock { $0 } }
    set { listening.withLock { $0 = newValue } }
  }
}
