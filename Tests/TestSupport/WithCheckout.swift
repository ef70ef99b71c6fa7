import Checkout
import Logging
import Postgres

/// Lends a checkout with the servers' role, and a pool with the owner's role on the same database.
///
/// - Parameters:
///   - url: a database with the schema.
///   - onStatement: called with the name of each statement that the checkout runs.
///   - proxy: a proxy between the checkout and the database. Each statement is then one message without a name.
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
  // Tests block batches on purpose, so the timeout is long.
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
