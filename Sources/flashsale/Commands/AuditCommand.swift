import API
import ArgumentParser
import Checkout

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Check everything that must be true of the data, in one snapshot.",
    discussion: "Exit code 1 when something is not.")

  @Flag(help: "Print JSON instead of a table.")
  var json = false
  @OptionGroup var database: DatabaseOptions

  func run() async throws {
    var configuration = try database.settings.database()
    // It reads whole tables, and nobody waits for it but its caller: a shop with millions of holds needs its audit too.
    configuration.statementTimeout = .seconds(600)
    let audit = try await withPool(configuration) { try await Audit.run(on: $0) }
    if json {
      print(audit.json)
    } else {
      printTable(
        ["RESULT", "CHECK", "MEANING"],
        audit.checks.map { [$0.violations == 0 ? "ok" : "\($0.violations) broken", $0.name, $0.description] })
    }
    guard audit.isClean else {
      let broken = audit.checks.filter { $0.violations > 0 }.map(\.name)
      throw Failure("broken: \(broken.joined(separator: ", "))")
    }
  }
}
