/// Everything that a run has seen. All checks and all numbers of the report follow from it.
package struct Evidence: Sendable {
  /// The product that the run made.
  package struct Product: Codable, Equatable, Sendable {
    package var id: Int
    package var price: Int
    package var currency: String
    package var stock: Int

    package init(id: Int, price: Int = Scenario.price, currency: String = Scenario.currency, stock: Int) {
      self.id = id
      self.price = price
      self.currency = currency
      self.stock = stock
    }

    /// The idempotency key that is sent. Another run with the same seed has the same planned keys, so the product's id
    /// is a part of it.
    package func key(_ planned: String) -> String { "\(id)-\(planned)" }
  }

  /// A request that a buyer did not send, because the run ended before its time.
  package struct SkippedRequest: Codable, Sendable {
    package var buyer: Int
    package var due: Microseconds
    package var request: RequestTemplate
  }

  package var url = ""
  package var plan: SalePlan
  package var product: Product
  /// Unix time of the start, in seconds.
  package var startedAt: Int64 = 0
  /// In the order of their start.
  package var requests: [RequestRecord] = []
  package var kills: [Kill] = []
  package var skipped: [SkippedRequest] = []
  package var wasInterrupted = false
  /// The end of the last request of a buyer.
  package var end: Microseconds = 0
  package var readings = FinalReadings()
  /// Whether the product was paused at the end.
  package var isPaused = false

  package init(plan: SalePlan, product: Product) {
    self.plan = plan
    self.product = product
  }
}

/// One execution of the command of `--kill`.
package struct Kill: Codable, Sendable {
  package var started: Microseconds
  package var ended: Microseconds
  /// Nil if a signal ended the command, or if it could not be started.
  package var exitCode: Int32?

  package init(started: Microseconds, ended: Microseconds, exitCode: Int32?) {
    self.started = started
    self.ended = ended
    self.exitCode = exitCode
  }
}
