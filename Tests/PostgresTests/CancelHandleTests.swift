import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Postgres

@Suite struct CancelHandleTests {
  @Test func cancelledStatementEndsOnTheServerToo() async throws {
    try await withConnection {
      $0.statementTimeout = .seconds(60)
    } _: { connection, configuration in
      try await withConnection(configuration) { observer in
        let running =
          "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
          + " and datname = current_database() and pid <> pg_backend_pid()"
        let task = Task { try await connection.execute(Sleep(milliseconds: 60_000)) }
        try await eventually("it runs") { try await observer.integer(running) == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await eventually("it has ended on the server") { try await observer.integer(running) == 0 }
        #expect(connection.isBroken, "the request could hit whatever runs on it next")
      }
    }
  }

  @Test func statementOfACancelledTaskIsNotSent() async throws {
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

  @Test func otherStatementsAreLeftToFinish() async throws {
    try await withConnection { connection, configuration in
      try await withConnection(configuration) { holder in
        try await holder.holdLock()
        let task = Task { try await connection.execute(WaitForLock()) }
        try await eventually("it waits") { try await holder.waitingForLock() == 1 }
        task.cancel()
        try await holder.letLockGo()
        let answer = try await task.value
        #expect(answer == [1])
        #expect(connection.isReusable)
      }
    }
  }

  /// Asking blocks until the server has closed that connection. Its first process is stopped here, and goes on only after
  /// everything that must not wait for it is done.
  @Test(.timeLimit(.minutes(2))) func requestThatIsNotTakenDelaysNobody() async throws {
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
        try await eventually("all are under way") { try await observer.waitingForLock() == 20 }
        kill(postmaster, SIGSTOP)
        // Blocked threads would wait for the end of the stop, and this test with them: a thread of our own ends it.
        let stop = Stop(of: postmaster, atMost: .seconds(60))
        for task in waiting { task.cancel() }
        for _ in 0..<200 { await Task.detached {}.value }
        #expect(stop.end(), "tasks waited for the stopped server")
        for task in waiting { await #expect(throws: (any Error).self) { try await task.value } }
        await pool.close()
      }
    }
  }

  /// A cancellation may come at any moment: before the statement is sent, while it runs, between its last byte and the
  /// caller, and while the caller waits for a connection.
  @Test func poolOutlivesHundredsOfCancellations() async throws {
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
      // Every place is still there, and nothing has been left behind.
      try await withThrowingTaskGroup(of: [Int32?].self) { group in
        for number in 0..<Int32(50) { group.addTask { try await pool.execute(Echo(number)) } }
        var answers: Set<Int32?> = []
        for try await answer in group { answers.formUnion(answer) }
        #expect(answers == Set(0..<50))
      }
      try await eventually("none has leaked") { try await observer.neighbours() <= size }
      await pool.close()
      try await eventually("all are closed") { try await observer.neighbours() == 0 }
    }
  }
}

/// A process that is stopped until somebody says so, or for too long.
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
      self?.goOn(.overdue)
    }
  }

  deinit { goOn(.ended) }

  /// Lets the process go on.
  ///
  /// - Returns: whether it was stopped until now.
  func end() -> Bool {
    goOn(.ended)
    return state.withLock { $0 } == .ended
  }

  private func goOn(_ next: State) {
    state.withLock { state in
      guard state == .stopped else { return }
      state = next
      kill(process, SIGCONT)
    }
  }
}
