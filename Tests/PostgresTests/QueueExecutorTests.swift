import Foundation
import TestSupport
import Testing

@testable import Postgres

@Suite struct QueueExecutorTests {
  /// Swift has as many threads for tasks as there are cores. If waiting statements blocked them all, no task could release
  /// the lock.
  @Test func `statements that wait for a lock do not block other tasks`() async throws {
    let count = ProcessInfo.processInfo.activeProcessorCount + 2
    try await withPool(size: count) {
      $0.lockTimeout = .seconds(60)
      $0.statementTimeout = .seconds(60)
    } _: { pool, observer in
      try await observer.holdLock()
      try await withThrowingTaskGroup(of: [Int64].self) { group in
        for _ in 0..<count { group.addTask { try await pool.execute(WaitForLock()) } }
        try await until("all statements wait") { try await observer.waitingForLock() == count }
        await Task.detached { for _ in 0..<1_000 { await Task.yield() } }.value
        try await observer.releaseLock()
        var answers = 0
        for try await _ in group { answers += 1 }
        #expect(answers == count)
      }
    }
  }

  @Test func `jobs of an actor run on its queue, one at a time`() async {
    let counter = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<1_000 { group.addTask { await counter.increment() } }
    }
    #expect(await counter.value == 1_000)
  }

  private actor Counter {
    nonisolated let executor = QueueExecutor(label: "test")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    var value = 0

    func increment() {
      dispatchPrecondition(condition: .onQueue(executor.queue))
      value += 1
    }
  }
}
