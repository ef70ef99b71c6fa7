import Foundation
import Subprocess

/// The `flashsale` executable of the same build as these tests.
enum FlashSaleExecutable {
  /// The executable is beside the test bundle.
  static let path = Bundle.main.bundlePath + "/flashsale"

  /// The variables that a test sets, and the few that the program needs in order to run.
  static func environment(_ settings: [String: String]) -> Environment {
    let surroundings = ProcessInfo.processInfo.environment
    var values: [Environment.Key: String] = [:]
    for name in ["HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "POSTGRES_BIN_DIR", "TMPDIR"] {
      if let value = surroundings[name] { values[.init(stringLiteral: name)] = value }
    }
    for (name, value) in settings { values[.init(stringLiteral: name)] = value }
    return .custom(values)
  }
}

/// The exit status and the output of a command.
struct CommandResult: CustomStringConvertible {
  let status: TerminationStatus
  /// The lines of standard output.
  let output: [String]
  /// The lines of standard error.
  let errors: [String]

  var description: String {
    "\(status)\nstdout:\n\(output.joined(separator: "\n"))\nstderr:\n\(errors.joined(separator: "\n"))"
  }
}

/// Runs a command of the program until it ends.
///
/// - Parameters:
///   - database: the value of DATABASE_URL, if it is to be set.
///   - settings: further variables of the environment.
func flashsale(
  _ arguments: [String], database: String? = nil, settings: [String: String] = [:], directory: String? = nil
) async throws -> CommandResult {
  var settings = settings
  settings["DATABASE_URL"] = database
  let result = try await run(
    .path(.init(FlashSaleExecutable.path)), arguments: Arguments(arguments),
    environment: FlashSaleExecutable.environment(settings), workingDirectory: directory.map { .init($0) },
    output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
  func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
  return CommandResult(
    status: result.terminationStatus, output: lines(result.standardOutput), errors: lines(result.standardError))
}
