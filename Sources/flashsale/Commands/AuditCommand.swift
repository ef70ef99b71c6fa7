import API
import ArgumentParser
import Checkout

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Check all invariants of the data in one snapshot.",
    discussion: "The exit code is 1 if an invariant is broken.")

  @Flag(help: "Print JSON instead of a table.")
  var json = false
  @OptionGroup var database: DatabaseOptions

  func run() async throws {
    var configuration = try database.settings.database()
    // The audit reads whole tables. With millions of holds it takes longer than a request's statement may.
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
