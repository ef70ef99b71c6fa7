import Synchronization

/// Whether the connections of a pool prepare statements by name.
///
/// A pooler that hands each transaction to another server connection loses names, or finds them taken: each statement would
/// fail from then on. So the first such error turns names off, for all connections of the pool and for good.
final class StatementNames: Sendable {
  private let isOn: Atomic<Bool>
  private let onLoss: (@Sendable () -> Void)?

  /// - Parameter onLoss: called once, when names are turned off.
  init(areUsed: Bool, onLoss: (@Sendable () -> Void)? = nil) {
    isOn = Atomic(areUsed)
    self.onLoss = onLoss
  }

  var areUsed: Bool { isOn.load(ordering: .relaxed) }

  func giveUp() {
    if isOn.exchange(false, ordering: .relaxed) { onLoss?() }
  }
}
