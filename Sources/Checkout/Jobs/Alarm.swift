import Synchronization

/// Ends a wait early. A ring without a waiter ends the next wait at once.
package final class Alarm: Sendable {
  private enum State {
    case quiet
    case rung
    case awaited(CheckedContinuation<Void, Never>)
  }

  private let state = Mutex(State.quiet)

  package init() {}

  package func ring() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if case .awaited(let waiter) = state {
        state = .quiet
        return waiter
      }
      state = .rung
      return nil
    }
    waiter?.resume()
  }

  /// Returns when the alarm rings, when `duration` has passed, or when the task is cancelled. Only one task may wait.
  package func wait(atMost duration: Duration) async {
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
          // `onCancel` may have run before the continuation was stored.
          if Task.isCancelled { return true }
          state = .awaited(continuation)
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
        guard case .awaited(let waiter) = state else { return nil }
        state = .quiet
        return waiter
      }
      waiter?.resume()
    }
  }
}
