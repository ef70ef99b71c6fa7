import Synchronization

/// Whether the connections of a pool prepare statements by name.
///
/// A pooler may give each transaction another server connection. A prepared statement then does not exist, or its name
/// is taken, and every statement would fail. The first such error turns names off for all connections of the pool. They
/// stay off.
final class StatementNames: Sendable {
  private let isOn: Atomic<Bool>
  private let onLoss: (@Sendable () -> Void)?

  /// - Parameter onLoss: called once, when names are turned off.
  init(areUsed: Bool, onLoss: (@Sendable () -> Void)? = nil) {
    isOn = Atomic(areUsed)
    self.onLoss = onLoss
  }

  var areUsed: Bool { isOn.load(ordering: .relaxed) }

  func turnOff() {
    if isOn.exchange(false, ordering: .relaxed) { onLoss?() }
  }
}
