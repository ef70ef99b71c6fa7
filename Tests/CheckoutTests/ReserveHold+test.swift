import Logging
import Postgres

@testable import Checkout

extension ReserveHold {
  /// The use case by itself; nobody hears of its jobs.
  static var forTests: ReserveHold {
    let nowhere = ConnectionConfiguration(url: "")
    let jobs = JobRunner(
      database: Pool(nowhere, size: 1), listener: nowhere, retention: Retention(), logger: Logger(label: "test"))
    return ReserveHold(jobs: jobs, timeToLive: .seconds(600))
  }
}

extension Connection {
  /// Runs `body` on the connection's thread.
  func with<Result: Sendable>(_ body: @Sendable (isolated Connection) throws -> Result) rethrows -> Result {
    try body(self)
  }
}
