import Logging
import Postgres

@testable import Checkout

extension ReserveHold {
  /// The use case by itself.
  static var forTests: ReserveHold { ReserveHold(jobs: .unheard, timeToLive: .seconds(600)) }
}

extension PlaceOrder {
  static var forTests: PlaceOrder { PlaceOrder(jobs: .unheard, timeToLive: .seconds(600)) }
}

extension JobRunner {
  /// Nobody hears what is announced.
  fileprivate static var unheard: JobRunner {
    let nowhere = ConnectionConfiguration(url: "")
    return JobRunner(
      database: Pool(nowhere, size: 1), listener: nowhere, retention: Retention(), logger: Logger(label: "test"))
  }
}

extension Connection {
  /// Runs `body` on the connection's thread.
  func with<Result: Sendable>(_ body: @Sendable (isolated Connection) throws -> Result) rethrows -> Result {
    try body(self)
  }
}
