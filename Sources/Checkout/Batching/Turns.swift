import DequeModule
import Dispatch
import Synchronization
import Time

/// Lets those who want something of one product do so one after the other.
///
/// Batches that reserve, order and pay for the same product could run beside each other. One at a time they are larger,
/// and the database does far more for many callers at once than for few at a time, side by side.
///
/// A turn that does not end, such as one that waits for a lock, keeps the next one waiting for twice `patience` at most:
/// then that begins beside it.
final class Turns<Key: Hashable & Sendable>: Sendable {
  private struct Line {
    /// Turns that have begun and not ended. One, unless somebody lost patience.
    var underWay = 1
    var waiting: Deque<@Sendable () -> Void> = []
    var lastBegin = Moment.now
    var lastImpatience: Moment?
  }

  private struct State {
    /// Present from the first turn's begin to the last one's end.
    var lines: [Key: Line] = [:]
    var isWatched = false
  }

  private let patience: Duration
  /// How long there is one turn more at a time after somebody lost patience.
  private let memory: Duration
  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "checkout.turns")

  init(patience: Duration = .milliseconds(50), memory: Duration = .seconds(1)) {
    self.patience = patience
    self.memory = memory
  }

  /// - Parameter begin: called when it is the caller's turn, at once or by whoever ends one. To be followed by `end`.
  func take(_ key: Key, _ begin: @escaping @Sendable () -> Void) {
    let (isFree, isToBeWatched) = state.withLock { state in
      guard state.lines[key] != nil else {
        state.lines[key] = Line()
        return (true, false)
      }
      state.lines[key]!.waiting.append(begin)
      defer { state.isWatched = true }
      return (false, !state.isWatched)
    }
    if isFree { begin() }
    if isToBeWatched { watch() }
  }

  /// Ends a turn; the next in line begins.
  func end(_ key: Key, now: Moment = .now) {
    let next = state.withLock { state -> (@Sendable () -> Void)? in
      let isOneTooMany =
        state.lines[key]!.underWay > 1 && state.lines[key]!.lastImpatience.map { now - $0 > memory } == true
      guard !isOneTooMany, let next = state.lines[key]!.waiting.popFirst() else {
        state.lines[key]!.underWay -= 1
        if state.lines[key]!.underWay == 0 { state.lines[key] = nil }
        return nil
      }
      state.lines[key]!.lastBegin = now
      return next
    }
    next?()
  }

  /// Looks after those who wait, for as long as there are any.
  private func watch() {
    queue.asyncAfter(deadline: .now() + .nanoseconds(Int(patience / .nanoseconds(1)))) { [weak self] in
      guard let self else { return }
      if losePatience() { watch() }
    }
  }

  /// Begins what has waited too long.
  ///
  /// - Returns: whether anybody still waits.
  func losePatience(now: Moment = .now) -> Bool {
    let (impatient, isWatched) = state.withLock { state in
      var impatient: [@Sendable () -> Void] = []
      for key in state.lines.keys where now - state.lines[key]!.lastBegin >= patience {
        guard let next = state.lines[key]!.waiting.popFirst() else { continue }
        state.lines[key]!.underWay += 1
        state.lines[key]!.lastBegin = now
        state.lines[key]!.lastImpatience = now
        impatient.append(next)
      }
      state.isWatched = state.lines.values.contains { !$0.waiting.isEmpty }
      return (impatient, state.isWatched)
    }
    for begin in impatient { begin() }
    return isWatched
  }
}
