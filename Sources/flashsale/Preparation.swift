import Logging
import Postgres
import ServiceLifecycle

/// Waits for the database and makes sure of its schema, while the server listens already.
struct Preparation: Service, CustomStringConvertible {
  private static let pause: Duration = .milliseconds(500)

  let logger: Logger
  let prepare: @Sendable () async throws -> Void
  let onPrepared: @Sendable () async -> Void

  var description: String { "Preparation" }

  /// - Throws: what `prepare` throws, unless the database is only away, or the server was told to end meanwhile.
  func run() async throws {
    try await cancelWhenGracefulShutdown {
      do {
        try await prepareOnceTheDatabaseIsThere()
      } catch {
        if !Task.isCancelled { throw error }
        return
      }
      await onPrepared()
    }
    // A service that ends while the group shuts down another one counts as failed.
    try? await gracefulShutdown()
  }

  /// A server and its database may be started in any order. Says what it waits for each time the reason changes.
  private func prepareOnceTheDatabaseIsThere() async throws {
    var reason = ""
    while true {
      do {
        return try await prepare()
      } catch let error as PostgresError where error.isDatabaseAway {
        if reason != "\(error)" { logger.warning("waiting for the database", metadata: ["error": "\(error)"]) }
        reason = "\(error)"
        try await Task.sleep(for: Self.pause)
      }
    }
  }
}
