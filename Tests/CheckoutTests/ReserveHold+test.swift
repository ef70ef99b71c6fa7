import Logging
import Postgres

@testable import Checkout

extension ReserveHold {
  /// The use case without a checkout.
  static var forTests: ReserveHold { ReserveHold(jobs: .unheard, timeToLive: .seconds(600)) }
}

extension PlaceOrder {
  static var forTests: PlaceOrder { PlaceOrder(jobs: .unheard, timeToLive: .seconds(600)) }
}

extension JobRunner {
  /// Its announcements reach no listener.
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

extension ReserveHold.Outcome {
  var heldID: ReservationID? {
    if case .held(let hold, _) = self { hold.id } else { nil }
  }

  var customerLimit: CustomerLimit? {
    if case .customerLimitReached(let limit) = self { limit } else { nil }
  }
}

extension Pool {
  /// Places one batch of holds, without a checkout.
  func reserve(_ requests: [ReserveHold.Request], of product: Product) async throws -> [ReserveHold.Outcome?] {
    try await execute(ReserveHold.forTests, requests, of: product)
  }

  /// Places one batch of orders, without a checkout.
  func place(_ requests: [PlaceOrder.Request], of product: Product) async throws -> [PlaceOrder.Outcome?] {
    try await execute(PlaceOrder.forTests, requests, of: product)
  }

  private func execute<UseCase: BatchedUseCase>(
    _ useCase: UseCase, _ requests: [UseCase.Request], of product: Product
  ) async throws -> [UseCase.Outcome?] where UseCase.Lane == Int32 {
    try await withConnection { connection in
      try await connection.with {
        try useCase.execute(
          requests, lane: product.id, mark: useCase.mark(for: requests, lane: product.id), on: $0)
      }
    }
  }
}
