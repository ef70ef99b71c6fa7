import Checkout
import Postgres
import Testing

/// Gives each test a database of its own: `@Test(.database)`. The test finds it in `TestDatabase.url`.
package struct DatabaseTrait: TestTrait, TestScoping {
  package func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await TestDatabase.$current.withValue(url) { try await body() }
    }
  }
}

package enum TestDatabase {
  @TaskLocal fileprivate static var current: String?

  /// The connection URI of the running test's database, as the owner of the schema.
  package static var url: String {
    guard let current else { preconditionFailure("the test has neither .database nor .checkout") }
    return current
  }
}

/// Gives each test a checkout on a database of its own: `@Test(.checkout)`. The test finds it in `TestCheckout.current`.
package struct CheckoutTrait: TestTrait, TestScoping {
  fileprivate let holdTimeToLive: Duration
  fileprivate let orderTimeToLive: Duration
  fileprivate let retention: Retention

  package func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
  ) async throws {
    try await withoutActuallyEscaping(body) { body in
      try await TestDatabases.withDatabase { url in
        try await withCheckout(
          on: url, holdTimeToLive: holdTimeToLive, orderTimeToLive: orderTimeToLive, retention: retention
        ) { checkout, pool in
          try await TestDatabase.$current.withValue(url) {
            try await TestCheckout.$provided.withValue((checkout, pool)) { try await body() }
          }
        }
      }
    }
  }
}

package enum TestCheckout {
  @TaskLocal fileprivate static var provided: (checkout: Checkout, pool: Pool)?

  /// The running test's checkout, which runs as the servers' role, and a pool on the same database as the owner.
  package static var current: (checkout: Checkout, pool: Pool) {
    guard let provided else { preconditionFailure("the test has no .checkout") }
    return provided
  }
}

extension Trait where Self == DatabaseTrait {
  package static var database: Self { DatabaseTrait() }
}

extension Trait where Self == CheckoutTrait {
  package static var checkout: Self { checkout() }

  package static func checkout(
    holdTimeToLive: Duration = .seconds(120), orderTimeToLive: Duration = .seconds(900),
    retention: Retention = Retention()
  ) -> Self {
    CheckoutTrait(holdTimeToLive: holdTimeToLive, orderTimeToLive: orderTimeToLive, retention: retention)
  }
}
