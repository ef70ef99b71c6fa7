import ArgumentParser
import Checkout

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve the API, and run its jobs, on the database in DATABASE_URL.",
    discussion: "Waits for a database that cannot be reached, and says so. Meanwhile it answers /health/live.")

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
