import ArgumentParser
@preconcurrency import Glibc
import Telemetry

/// The command line. Exit codes: 0 done, 1 refused or failed with one line on standard error, 64 wrong usage.
@main
struct FlashSale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flashsale",
    abstract: "A checkout API for flash sales.",
    version: BuildInfo.version,
    subcommands: [
      DemoCommand.self, ServeCommand.self, MigrateCommand.self, ProductCommand.self, PayCommand.self,
      AuditCommand.self,
    ])

  static func main() async {
    // A peer that hangs up must be an error of that one write, not the end of the process. Before any connection.
    signal(SIGPIPE, SIG_IGN)
    // What is printed is read by people and scripts while the server goes on.
    setlinebuf(stdout)
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let error = Failure.describing(error)
      // Help and usage are the parser's own; its errors repeat what was typed.
      guard exitCode(for: error) == .failure else { exit(withError: error) }
      fputs("Error: \(message(for: error).escapedForTerminal)\n", stderr)
      Glibc.exit(EXIT_FAILURE)
    }
  }
}
