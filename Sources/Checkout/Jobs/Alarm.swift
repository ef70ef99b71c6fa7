import Synchronization

/// Ends a nap before its time. A ring while nobody naps is kept, and ends the next nap at once.
final class Alarm: Sendable {
  private enum State {
    case quiet
    case rung
    case awaited(CheckedContinuation<Void, Never>)
  }

  private let state = Mutex(State.quiet)

  func ring() {
    let sleeper = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if case .awaited(let sleeper) = state {
        state = .quiet
        return sleeper
      }
      state = .rung
      return nil
    }
    sleeper?.resume()
  }

  /// Returns when the alarm rings, when `duration` has passed, or when the task is cancelled. One task at a time.
  func nap(atMost duration: Duration) async {
    await withTaskGroup { group in
      group.addTask { try? await Task.sleep(for: duration) }
      group.addTask { await self.untilRing() }
      await group.next()
      group.cancelAll()
    }
  }

  private func untilRing() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if case .rung = state {
            state = .quiet
            return true
          }
          // `onCancel` may have run before there was a continuation to end.
          if Task.isCancelled { return true }
          state = .awaited(continuation)
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let sleeper = state.withLock { state -> CheckedContinuation<Void, Never>? in
        guard case .awaited(let sleeper) = state else { return nil }
        state = .quiet
        return sleeper
      }
      sleeper?.resume()
    }
  }
}
