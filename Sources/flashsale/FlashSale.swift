import ArgumentParser
@preconcurrency import Glibc
import Telemetry

/// The command line. Exit codes: 0 success; 1 refused or failed, with one line on standard error; 64 wrong usage.
@main
struct FlashSale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flashsale",
    abstract: "A checkout API for flash sales.",
    version: BuildInfo.version,
    subcommands: [
      DemoCommand.self, ServeCommand.self, MigrateCommand.self, ProductCommand.self, OrderCommand.self,
      HoldCommand.self, CustomerCommand.self, KeyCommand.self, PayCommand.self, ListenCommand.self,
      EndpointCommand.self, EventCommand.self, DeliveryCommand.self, AuditCommand.self, RehearseCommand.self,
    ])

  static func main() async {
    // A write to a closed connection must fail with EPIPE. SIGPIPE would end the process.
    signal(SIGPIPE, SIG_IGN)
    // Scripts read the output while the server runs, also from a pipe, which would be fully buffered.
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
      // The parser prints help and usage errors itself. Other errors may contain input, so they are escaped.
      guard exitCode(for: error) == .failure else { exit(withError: error) }
      fputs("Error: \(message(for: error).escapedForTerminal)\n", stderr)
      Glibc.exit(EXIT_FAILURE)
    }
  }
}
