import Synchronization

/// Whether the server has been told to end: it still answers, and sends everybody away with the answer. And what is to
/// end before it does.
final class Draining: Sendable {
  private let state = Atomic(false)
  private let listening = Mutex<Listener?>(nil)

  var isUnderWay: Bool { state.load(ordering: .relaxed) }

  func begin() { state.store(true, ordering: .relaxed) }

  /// Where new connections come from; nil while it does not listen yet.
  var listener: Listener? {
    get { listening.withLock { $0 } }
    set { listening.withLock { $0 = newValue } }
  }
}
