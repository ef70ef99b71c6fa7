import Logging
import Postgres
import ServiceLifecycle

/// Waits until the database can be reached and its schema is up to date.
struct Preparation: Service, CustomStringConvertible {
  private static let retryInterval: Duration = .milliseconds(500)

  let logger: Logger
  let prepare: @Sendable () async throws -> Void
  let onPrepared: @Sendable () async -> Void

  var description: String { "Preparation" }

  /// - Throws: the error of `prepare`, unless the database is away or the server is shutting down.
  func run() async throws {
    try await cancelWhenGracefulShutdown {
      do {
        try await prepareWhenReachable()
      } catch {
        if !Task.isCancelled { throw error }
        return
      }
      await onPrepared()
    }
    // The service group counts a service that returns before the shutdown as failed.
    try? await gracefulShutdown()
  }

  /// The server and its database may start in any order. The log has one line for each new reason to wait.
  private func prepareWhenReachable() async throws {
    var reason = ""
    while true {
      do {
        return try await prepare()
      } catch let error as PostgresError where error.isDatabaseAway {
        if reason != "\(error)" { logger.warning("waiting for the database", metadata: ["error": "\(error)"]) }
        reason = "\(error)"
        try await Task.sleep(for: Self.retryInterval)
      }
    }
  }
}
