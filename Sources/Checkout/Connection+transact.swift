import Glibc
import Postgres

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
}

extension Pool {
  /// The same on a connection of the pool.
  public func transact<Statement: PreparedStatement>(_ statement: Statement) async throws -> [Statement.Result] {
    try await withConnection { try await $0.transact(statement) }
  }
}
