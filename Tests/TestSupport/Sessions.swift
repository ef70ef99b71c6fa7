import Postgres
import Time

extension Pool {
  /// Runs `blocking` in a transaction that stays open while `body` runs. The argument of `body` commits it earlier.
  package func holding<Result: Sendable>(
    _ blocking: String,
    _ body: @escaping @Sendable (_ commit: @escaping @Sendable () async throws -> Void) async throws -> Result
  ) async throws -> Result {
    try await withConnection { connection in
      try await connection.executeScript("begin; \(blocking)")
      let result = try await body { try await connection.executeScript("commit") }
      try await connection.executeScript("commit")
      return result
    }
  }

  /// Waits until this many sessions of the database wait for a lock. A race is then set up.
  ///
  /// - Throws: ``Unexpected`` after 20 s. So a test of a missing lock fails instead of hanging.
  package func untilBlocked(_ count: Int64) async throws {
    try await until("\(count) sessions wait for a lock") {
      try await integer(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
        >= count
    }
  }

  /// Waits until the database's clock is later than `moment`.
  package func untilPast(_ moment: Timestamp) async throws {
    let moment = "timestamptz 'epoch' + \(moment.microsecondsSince1970) * interval '1 microsecond'"
    try await until("the clock is past \(moment)") {
      try await integer("select (clock_timestamp() > \(moment))::int") == 1
    }
  }
}
