import ServiceLifecycle
import Synchronization

/// The tasks of connections, each on its own.
///
/// They could be children of the task that accepts connections. But a child that ends is looked for among its siblings, one
/// by one, so that with ten thousand idle connections every short one would cost milliseconds.
final class ConnectionTasks: Service {
  private struct State {
    var count = 0
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func start(_ body: @escaping @Sendable () async -> Void) {
    state.withLock { $0.count += 1 }
    Task {
      await body()
      let waiter = state.withLock { state in
        state.count -= 1
        return state.count == 0 ? state.waiter.take() : nil
      }
      waiter?.resume()
    }
  }

  /// Returns after graceful shutdown, when none is left, or when it is cancelled. To be shut down when no more are started.
  func run() async {
    try? await gracefulShutdown()
    await untilAllHaveEnded()
  }

  private func untilAllHaveEnded() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          // `onCancel` may have run before there was anybody to resume.
          if state.count == 0 || Task.isCancelled { return true }
          state.waiter = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }
}
