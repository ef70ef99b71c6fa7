import Postgres

extension Pool {
  /// Runs `blocking` in a transaction that stays open while `body` runs, and commits it when `body` calls its argument,
  /// or at the end.
  public func holding<Result: Sendable>(
    _ blocking: String, _ body: @escaping @Sendable (_ commit: @escaping @Sendable () async throws -> Void) async throws -> Result
  ) async throws -> Result {
    try await withConnection { connection in
      try await connection.executeScript("begin; \(blocking)")
      let result = try await body { try await connection.executeScript("commit") }
      try await connection.executeScript("commit")
      return result
    }
  }

  /// Waits until this many sessions of the database wait for a lock: the moment at which a race is set up.
  public func untilBlocked(_ count: Int64) async throws {
    while try await integer(
      "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") < count
    {
      await Task.yield()
    }
  }

  /// Waits until the database's clock is past a moment.
  public func untilPast(_ moment: Timestamp) async throws {
    while try await integer(
      "select (clock_timestamp() <= timestamptz 'epoch' + \(moment.microsecondsSince1970) * interval '1 microsecond')::int"
    ) == 1 {
      await Task.yield()
    }
  }
}
