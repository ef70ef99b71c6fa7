import Glibc
import Postgres
import Time

extension Connection {
  /// The largest number of attempts in case of conflicts. An attempt starts after the other transaction has ended or
  /// has its locks, so the second one nearly always succeeds.
  private static var maximumAttempts: Int { 5 }

  /// Runs a statement as a transaction. After a conflict it runs the statement again, unless the deadline of `answering`
  /// has passed.
  ///
  /// - Throws: `PostgresError`.
  func transact<Statement: PreparedStatement>(_ statement: Statement) throws -> [Statement.Result] {
    for _ in 1..<Self.maximumAttempts {
      do {
        return try run(statement)
      } catch PostgresError.server(let error) where error.isConcurrencyFailure && !isOutOfTime {
        // The other transaction wakes up during this pause. Without it, this one could take the same locks first:
        //
        //     this:  is rolled back, which frees the lock that the other one waits for
        //     this:  runs again at once, and locks the row before the other backend wakes up
        //     other: wakes up, and waits for this one again
        if error.isDeadlock { usleep(.random(in: 5_000...20_000)) }
      }
    }
    return try run(statement)
  }

  /// As `transact`. Throws `PostgresError.connectionLost` when there is no answer by `deadline`.
  fileprivate func transact<Statement: PreparedStatement>(
    _ statement: Statement, answeredBy deadline: Moment
  ) throws -> [Statement.Result] {
    try answering(by: deadline) { try $0.transact(statement) }
  }
}

extension Pool {
  /// As `Connection.transact`, on a connection of the pool.
  ///
  /// - Throws: `PostgresError`, `CancellationError`.
  package func transact<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    try await withConnection { try await $0.transact(statement) }
  }

  /// The longest wait for the answer to the first attempt. It is longer than `lockTimeout`, so a wait for a lock ends
  /// first.
  private static var answerTime: Duration { .milliseconds(2500) }
  /// The longest time until the caller gets an error, as in `Batcher`.
  private static var resolutionTime: Duration { .milliseconds(3800) }
  /// The pause between two attempts after a lost answer.
  private static var resolutionPause: Duration { .milliseconds(100) }

  /// Runs a statement that has an idempotency key. After a lost answer it runs the statement again, with the same key.
  /// The result then shows whether the first attempt took effect. If the first attempt arrives later, it is a replay.
  ///
  /// - Throws: `PostgresError`, `CancellationError`. `connectionLost` means that the outcome is unknown.
  package func transactOnce<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    let deadline = Moment.now + Self.resolutionTime
    do {
      return try await transact(statement, answeredBy: .now + Self.answerTime)
    } catch let lost as PostgresError where lost.isConnectionLost {
      while Moment.now < deadline {
        do {
          return try await transact(statement, answeredBy: deadline)
        } catch let error as PostgresError where error.isDatabaseAway {
          try await Task.sleep(for: Self.resolutionPause)
        }
      }
      throw lost
    }
  }

  private func transact<Statement: PreparedStatement>(
    _ statement: Statement, answeredBy deadline: Moment
  ) async throws -> [Statement.Result] {
    try await withConnection { try await $0.transact(statement, answeredBy: deadline) }
  }
}
