import ArgumentParser
import Checkout

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve the API and run its jobs, with the database in DATABASE_URL.",
    discussion: """
      Each option that takes a value is also a setting in the environment: --hold-ttl-seconds is HOLD_TTL_SECONDS.

      If the database cannot be reached, the server logs that and waits. Meanwhile GET /health/live returns 200.
      """)

  @Flag(help: "Update the schema before serving; otherwise a schema that is not up to date is refused.")
  var migrate = false
  @Flag(help: "Add the demo product if there is no product; requires --migrate.")
  var seed = false
  @Flag(help: "Accept unsigned payment events from anybody if WEBHOOK_SECRETS is not set.")
  var unsignedWebhooks = false
  @OptionGroup var options: ServerOptions

  func validate() throws {
    if seed, !migrate { throw ValidationError("--seed requires --migrate") }
  }

  func run() async throws {
    let settings = options.settings
    try settings.validate(allowsUnsignedWebhooks: unsignedWebhooks)
    let database = try settings.database()
    try await runServer(
      settings, allowsUnsignedWebhooks: unsignedWebhooks, logger: try settings.logger(),
      prepare: { [migrate, seed] in
        if migrate {
          try await migrateDatabase(database, seed: seed)
        } else {
          try await Migrator(database).verify()
        }
      },
      onServing: { print("flashsale serves on \($0)") })
  }
}
