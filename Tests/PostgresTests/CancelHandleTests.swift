import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Postgres

@Suite struct CancelHandleTests {
  @Test func `cancelling a task ends its statement on the server`() async throws {
    try await withConnection {
      $0.statementTimeout = .seconds(60)
    } _: { connection, configuration in
      try await withConnection(configuration) { observer in
        let running =
          "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
          + " and datname = current_database() and pid <> pg_backend_pid()"
        let task = Task { try await connection.execute(Sleep(milliseconds: 60_000)) }
        try await until("the statement runs") { try await observer.integer(running) == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await until("the statement has ended") { try await observer.integer(running) == 0 }
        #expect(connection.isBroken, "the cancel request could hit the next statement")
      }
    }
  }

  @Test func `the statement of a cancelled task is not sent`() async throws {
    try await withConnection { connection, _ in
      let gate = Gate()
      let task = Task {
        await gate.wait()
        return try await connection.execute(WaitForLockOrCancellation())
      }
      task.cancel()
      gate.open()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(connection.isReusable)
    }
  }

  @Test func `a statement that is not cancellable runs to its end`() async throws {
    try await withConnection { connection, configuration in
      try await withConnection(configuration) { holder in
        try await holder.holdLock()
        let task = Task { try await connection.execute(WaitForLock()) }
        try await until("the statement waits") { try await holder.waitingForLock() == 1 }
        task.cancel()
        try await holder.releaseLock()
        let answer = try await task.value
        #expect(answer == [1])
        #expect(connection.isReusable)
      }
    }
  }

  /// A cancel request blocks until the server closes the request's connection. The test stops the postmaster. It continues
  /// only after everything that must not wait for it.
  @Test(.timeLimit(.minutes(2))) func `a cancel request that the server does not accept delays no task`() async throws {
    let directory = temporaryDirectory()
    try await withServer(directory: directory) { server in
      let file = try String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8)
      let postmaster = try #require(pid_t(file.prefix { $0 != "\n" }))
      var configuration = ConnectionConfiguration(url: server.databaseURL())
      (configuration.statementTimeout, configuration.lockTimeout) = (.seconds(3), .seconds(3))
      try await withConnection(configuration) { [configuration] observer in
        let pool = Pool(configuration, size: 20)
        try await observer.holdLock()
        let waiting = (0..<20).map { _ in Task { try await pool.execute(WaitForLockOrCancellation()) } }
        try await until("all statements wait") { try await observer.waitingForLock() == 20 }
        kill(postmaster, SIGSTOP)
        // If the requests blocked the threads of tasks, this test would be blocked, too. So another thread ends the stop.
        let stop = Stop(of: postmaster, atMost: .seconds(60))
        for task in waiting { task.cancel() }
        for _ in 0..<200 { await Task.detached {}.value }
        #expect(stop.end(), "tasks waited for the stopped server")
        for task in waiting { await #expect(throws: CancellationError.self) { try await task.value } }
        await pool.close()
      }
    }
  }

  /// Cancellations come at random moments. The caller may wait for a connection, the statement may run, or its answer may
  /// have arrived.
  @Test func `a pool works after hundreds of cancellations`() async throws {
    let size = 4
    try await withPool(size: size) {
      $0.statementTimeout = .seconds(60)
    } _: { pool, observer in
      let completed = try await withThrowingTaskGroup(of: Bool.self) { group in
        for number in 0..<400 {
          group.addTask {
            let statement = Task {
              if number.isMultiple(of: 4) {
                _ = try await pool.execute(Echo(Int32(number)))
              } else {
                _ = try await pool.execute(Sleep(milliseconds: .random(in: 0...5)))
              }
            }
            let canceller = Task {
              try await Task.sleep(for: .microseconds(.random(in: 0...300_000)))
              statement.cancel()
            }
            defer { canceller.cancel() }
            do {
              try await statement.value
              return true
            } catch is CancellationError {
              return false
            }
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      #expect(completed > 0 && completed < 400, "\(completed): neither none nor all were cancelled")
      // All connections still work, and none returns the answer of an earlier statement.
      try await withThrowingTaskGroup(of: [Int32?].self) { group in
        for number in 0..<Int32(50) { group.addTask { try await pool.execute(Echo(number)) } }
        var answers: Set<Int32?> = []
        for try await answer in group { answers.formUnion(answer) }
        #expect(answers == Set(0..<50))
      }
      try await until("no connection is left open") { try await observer.otherConnections() <= size }
      await pool.close()
      try await until("all connections are closed") { try await observer.otherConnections() == 0 }
    }
  }
}

/// Keeps a process stopped until `end`, or until a time limit.
private final class Stop: Sendable {
  private enum State {
    case stopped, ended, overdue
  }

  private let process: pid_t
  private let state = Mutex(State.stopped)

  init(of process: pid_t, atMost limit: Duration) {
    self.process = process
    Thread.detachNewThread { [weak self] in
      Thread.sleep(forTimeInterval: limit / .seconds(1))
      self?.resume(.overdue)
    }
  }

  deinit { resume(.ended) }

  /// Continues the process.
  ///
  /// - Returns: false when the time limit has continued it before.
  func end() -> Bool {
    resume(.ended)
    return state.withLock { $0 } == .ended
  }

  private func resume(_ next: State) {
    state.withLock { state in
      guard state == .stopped else { return }
      state = next
      kill(process, SIGCONT)
    }
  }
}
