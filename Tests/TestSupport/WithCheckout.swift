import Checkout
import Logging
import Postgres

/// Lends a checkout that runs as the servers' role, and a pool on the same database, as the owner, for looking behind it.
///
/// - Parameters:
///   - url: a database with the schema.
///   - onStatement: hears the name of each statement that the checkout runs.
///   - proxy: stands between the checkout and the database. Each statement is one message then, without a name.
package func withCheckout<Result: Sendable>(
  on url: String, holdTimeToLive: Duration = .seconds(120), orderTimeToLive: Duration = .seconds(900),
  retention: Retention = Retention(), onStatement: (@Sendable (String) -> Void)? = nil,
  through proxy: DatabaseProxy? = nil,
  _ body: @escaping @Sendable (Checkout, Pool) async throws -> Result
) async throws -> Result {
  var connection = ConnectionConfiguration.checkout(url: TestDatabases.serverURL(proxy?.url ?? url))
  connection.usesNamedStatements = proxy == nil
  var configuration = Checkout.Configuration(listener: connection)
  configuration.retention = retention
  configuration.holdTimeToLive = holdTimeToLive
  configuration.orderTimeToLive = orderTimeToLive
  // Tests make callers wait on purpose; those of the time-out set one.
  configuration.queueTimeout = .seconds(60)
  var logger = Logger(label: "checkout")
  logger.logLevel = .error
  let database = Pool(connection) { name, _ in onStatement?(name) }
  let checkout = Checkout(database: database, configuration: configuration, logger: logger)
  let pool = Pool(ConnectionConfiguration(url: url), size: 4)
  return try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask {
      try await checkout.run()
      return nil
    }
    group.addTask { try await body(checkout, pool) }
    defer { group.cancelAll() }
    do {
      while let next = try await group.next() {
        guard let result = next else { continue }
        group.cancelAll()
        await pool.close()
        return result
      }
    } catch {
      await pool.close()
      throw error
    }
    preconditionFailure("the body returns or throws")
  }
}
