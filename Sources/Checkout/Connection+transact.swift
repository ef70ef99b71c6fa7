import Glibc
import Postgres
import Time

extension Connection {
  /// How often a statement is run that keeps getting into the way of others. Each attempt starts after the transaction
  /// that it lost to has ended, or has got its locks, so a second one nearly always succeeds.
  private static var maximumAttempts: Int { 5 }

  /// Runs a statement that is a transaction of its own, again when it was rolled back by a deadlock or a serialization
  /// failure and there is time for it.
  ///
  /// - Throws: `PostgresError`.
  func transact<Statement: PreparedStatement>(_ statement: Statement) throws -> [Statement.Result] {
    for _ in 1..<Self.maximumAttempts {
      do {
        return try run(statement)
      } catch PostgresError.server(let error) where error.isConcurrencyFailure && !isOutOfTime {
        // Whoever won wakes up by now. At once, the loser would take the same locks again before that.
        if error.isDeadlock { usleep(.random(in: 5_000...20_000)) }
      }
    }
    return try run(statement)
  }

  /// The same, given up when there is no answer by `deadline`.
  fileprivate func transact<Statement: PreparedStatement>(
    _ statement: Statement, answeredBy deadline: Moment
  ) throws -> [Statement.Result] {
    try answering(by: deadline) { try $0.transact(statement) }
  }
}

extension Pool {
  /// The same on a connection of the pool.
  package func transact<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    try await withConnection { try await $0.transact(statement) }
  }

  /// The longest wait for the answer to the first call. Longer than what the database itself allows for a lock.
  private static var answerTime: Duration { .milliseconds(2500) }
  /// From the first call to when the caller is told that nothing is known: as for batches, below five seconds.
  private static var resolutionTime: Duration { .milliseconds(3800) }
  /// Between two attempts to find out what became of a statement.
  private static var resolutionPause: Duration { .milliseconds(100) }

  /// Runs a statement with an idempotency key of its own. When its answer is lost it is run again, which tells: the first
  /// call took effect, or does nothing when it arrives after the second.
  ///
  /// - Throws: `PostgresError`; `connectionLost` when nothing is known in time.
  func transactOnce<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
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
