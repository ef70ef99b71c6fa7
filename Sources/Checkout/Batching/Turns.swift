import DequeModule
import Dispatch
import Synchronization
import Time

/// Runs the batches that change one product one after the other. A turn is the right of a batch to change a product.
///
/// Batches that reserve, order and pay for the same product could run side by side. One at a time they are larger, and
/// the database serves a large batch much faster than several small ones.
///
/// A turn may not end, for example because its batch waits for a lock. Then the next turn begins beside it, after at
/// most twice `overdueAfter`.
final class Turns<Key: Hashable & Sendable>: Sendable {
  private struct Queue {
    /// The number of turns that have begun and not ended. It is more than one after a turn was overdue.
    var underWay = 1
    var waiting: Deque<@Sendable () -> Void> = []
    var lastBegin = Moment.now
    /// When a turn last began beside an overdue one.
    var lastOverdue: Moment?
  }

  private struct State {
    /// A key has a queue while a turn of it is under way.
    var queues: [Key: Queue] = [:]
    var isWatched = false
  }

  /// When no turn of a key has begun for this long, the running turn is overdue.
  private let overdueAfter: Duration
  /// How long a key keeps an extra turn after one was overdue.
  private let extraTurnTime: Duration
  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "checkout.turns")

  init(overdueAfter: Duration = .milliseconds(50), extraTurnTime: Duration = .seconds(1)) {
    self.overdueAfter = overdueAfter
    self.extraTurnTime = extraTurnTime
  }

  /// Waits for a turn, without blocking.
  ///
  /// - Parameter begin: called when the turn begins: inside this call, or later on another thread. Each turn must
  ///   `end`.
  func take(_ key: Key, _ begin: @escaping @Sendable () -> Void) {
    let (isFree, isToBeWatched) = state.withLock { state in
      guard state.queues[key] != nil else {
        state.queues[key] = Queue()
        return (true, false)
      }
      state.queues[key]!.waiting.append(begin)
      defer { state.isWatched = true }
      return (false, !state.isWatched)
    }
    if isFree { begin() }
    if isToBeWatched { watch() }
  }

  /// Ends a turn and begins the next one.
  func end(_ key: Key, now: Moment = .now) {
    let next = state.withLock { state -> (@Sendable () -> Void)? in
      let isOneTooMany =
        state.queues[key]!.underWay > 1 && state.queues[key]!.lastOverdue.map { now - $0 > extraTurnTime } == true
      guard !isOneTooMany, let next = state.queues[key]!.waiting.popFirst() else {
        state.queues[key]!.underWay -= 1
        if state.queues[key]!.underWay == 0 { state.queues[key] = nil }
        return nil
      }
      state.queues[key]!.lastBegin = now
      return next
    }
    next?()
  }

  /// Looks for overdue turns at intervals while any turn waits.
  private func watch() {
    queue.asyncAfter(deadline: .now() + .nanoseconds(Int(overdueAfter / .nanoseconds(1)))) { [weak self] in
      guard let self else { return }
      if beginOverdueTurns() { watch() }
    }
  }

  /// Begins the next turn of each key whose running turn is overdue.
  ///
  /// - Returns: whether any turn still waits.
  func beginOverdueTurns(now: Moment = .now) -> Bool {
    let (begins, isWatched) = state.withLock { state in
      var begins: [@Sendable () -> Void] = []
      for key in state.queues.keys where now - state.queues[key]!.lastBegin >= overdueAfter {
        guard let next = state.queues[key]!.waiting.popFirst() else { continue }
        state.queues[key]!.underWay += 1
        state.queues[key]!.lastBegin = now
        state.queues[key]!.lastOverdue = now
        begins.append(next)
      }
      state.isWatched = state.queues.values.contains { !$0.waiting.isEmpty }
      return (begins, state.isWatched)
    }
    for begin in begins { begin() }
    return isWatched
  }
}
