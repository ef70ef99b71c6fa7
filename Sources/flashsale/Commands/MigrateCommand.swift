import ArgumentParser
import Checkout
import Postgres
import Telemetry

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Update the database's schema.",
    discussion: "One transaction applies all pending files. Several migrations may run at the same time.")

  @Flag(help: "Print what would change, and change nothing; exit code 1 if the schema is not up to date.")
  var status = false
  @Flag(help: "Add the demo product if there is no product.")
  var seed = false
  @Option(help: "Role of the servers, created if missing, which may only call functions. Environment: SERVER_ROLE.")
  var serverRole: String?
  @Option(help: "Password of that role. Environment, which `ps` does not show: SERVER_ROLE_PASSWORD.")
  var serverRolePassword: String?
  @Option(help: "Path of a file with the password. Environment: SERVER_ROLE_PASSWORD_FILE.")
  var serverRolePasswordFile: String?
  @OptionGroup var database: DatabaseOptions

  func validate() throws {
    if status, seed { throw ValidationError("--status changes nothing; it cannot be combined with --seed") }
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

/// Applies pending files, and adds the demo product if `seed` is true and there is no product.
///
/// - Returns: the names of the applied files.
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

/// Lends a pool of one connection, and closes it afterwards.
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
