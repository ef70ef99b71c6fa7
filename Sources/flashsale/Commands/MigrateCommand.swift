import ArgumentParser
import Checkout
import Postgres
import Telemetry

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Bring the database's schema up to date.",
    discussion: "All of it is one transaction. Several may be started at once.")

  @Flag(help: "Only tell what would be done. Exit code 1 when there is something to do.")
  var status = false
  @Flag(help: "Add the demonstration product if there is no product.")
  var seed = false
  @Option(
    help: "Let this role serve: call the functions, and nothing else. Made if there is none. Environment: SERVER_ROLE.")
  var serverRole: String?
  @Option(help: "The password for that role; best given in the environment, as SERVER_ROLE_PASSWORD.")
  var serverRolePassword: String?
  @Option(help: "A file with that password.")
  var serverRolePasswordFile: String?
  @OptionGroup var database: DatabaseOptions

  func validate() throws {
    if status, seed { throw ValidationError("--status changes nothing, so it does not go with --seed") }
  }

  func run() async throws {
    let settings = Settings(
      flags: database.flags.merging([
        "SERVER_ROLE": serverRole, "SERVER_ROLE_PASSWORD": serverRolePassword,
        "SERVER_ROLE_PASSWORD_FILE": serverRolePasswordFile,
      ]) { $1 })
    let configuration = try settings.database()
    if status {
      try await printStatus(configuration)
    } else {
      let applied = try await migrateDatabase(configuration, seed: seed, serverRole: try settings.serverRole())
      for file in applied { print("applied \(file)") }
      print("the schema is up to date")
    }
  }

  private func printStatus(_ configuration: ConnectionConfiguration) async throws {
    let status = try await Migrator(configuration).status()
    for name in status.pendingMigrations { print("pending  migration \(name)") }
    for name in status.outdatedFunctions { print("pending  function \(name)") }
    for name in status.editedMigrations { print("edited   migration \(name)") }
    for name in status.unknownMigrations { print("unknown  migration \(name.escapedForTerminal)") }
    guard status.isCurrent else { throw Failure("the schema is not what this program needs") }
    print("the schema is up to date")
  }
}

/// - Returns: what was applied.
@discardableResult
func migrateDatabase(
  _ configuration: ConnectionConfiguration, seed: Bool, serverRole: ServerRole? = nil
) async throws -> [String] {
  let applied = try await Migrator(configuration).migrate(serverRole: serverRole)
  if seed {
    try await withPool(configuration) { _ = try await $0.execute(CreateProduct.demonstration) }
  }
  return applied
}

/// Lends a pool for a command that makes one or two calls.
func withPool<Result>(
  _ configuration: ConnectionConfiguration, _ body: (Pool) async throws -> Result
) async throws -> Result {
  let pool = Pool(configuration, size: 1)
  do {
    let result = try await body(pool)
    await pool.close()
    return result
  } catch {
    await pool.close()
    throw error
  }
}
