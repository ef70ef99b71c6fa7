import ArgumentParser
import Checkout
import Logging
import Postgres
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve the API, and run its jobs, on the database in DATABASE_URL.",
    discussion: "Waits for a database that cannot be reached, and says so.")

  @Flag(help: "Bring the schema up to date first. Without it a schema that is behind is refused.")
  var migrate = false
  @Flag(help: "Add the demonstration product if there is no product; needs --migrate.")
  var seed = false
  @Flag(help: "Take payment events from anybody when WEBHOOK_SECRETS is not set.")
  var unsignedWebhooks = false
  @OptionGroup var options: ServerOptions

  func validate() throws {
    if seed, !migrate { throw ValidationError("--seed needs --migrate") }
  }

  func run() async throws {
    let settings = options.settings
    try settings.validate(allowsUnsignedWebhooks: unsignedWebhooks)
    let database = try settings.database()
    let logger = try settings.logger()
    let isPrepared = try await unlessToldToEnd {
      try await waitingForDatabase(logger) {
        if migrate {
          try await migrateDatabase(database, seed: seed)
        } else {
          try await Migrator(database).verify()
        }
      }
    }
    guard isPrepared else { return }
    try await runServer(settings, allowsUnsignedWebhooks: unsignedWebhooks, logger: logger) {
      print("flashsale serves on http://\($0.contains(":") ? "[\($0)]" : $0):\($1)")
    }
  }

  /// Runs `body`, and ends it at SIGTERM or SIGINT, which mean nothing by themselves to the first process of a container.
  ///
  /// - Returns: whether it was not ended.
  private func unlessToldToEnd(_ body: @escaping @Sendable () async throws -> Void) async throws -> Bool {
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    return try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        try await body()
        return true
      }
      group.addTask { await signals.first { _ in true } == nil }
      defer { group.cancelAll() }
      return try await group.next() ?? true
    }
  }

  private static let pause: Duration = .milliseconds(500)

  /// Runs `body` until the database is there: a server and its database may be started in any order. Says what it waits for
  /// each time the reason changes.
  private func waitingForDatabase(_ logger: Logger, _ body: () async throws -> Void) async throws {
    var reason = ""
    while true {
      do {
        return try await body()
      } catch let error as PostgresError where error.isDatabaseAway {
        if reason != "\(error)" { logger.warning("waiting for the database", metadata: ["error": "\(error)"]) }
        reason = "\(error)"
        try await Task.sleep(for: Self.pause)
      }
    }
  }
}
