import API
import ArgumentParser
import Foundation
import Rehearsal
import Telemetry
import UnixSignals

struct RehearseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rehearse", abstract: "Play a whole sale against a running server, and check every response.",
    discussion: """
      It makes a product of its own, and pauses it at the end. ADMIN_TOKEN must be the server's. The first of
      WEBHOOK_SECRETS signs the payment events; without a secret they are unsigned.

      The exit code is 0 if all checks hold, and 1 otherwise. Ctrl-C ends the sale, and reports it so far.
      """)

  @Option(help: "Base URL of the API, http only.")
  var url = "http://127.0.0.1:8080"
  @Flag(name: .customLong("yes-this-is-mine"), help: "Required for a server that is not on this machine.")
  var isMine = false
  @Option(help: "Buyers, 1 to 1000000.")
  var buyers = Scenario().buyers
  @Option(help: "Stock of the product in units, 1 to 1000000.")
  var stock = Scenario().stock
  @Option(help: "How buyers arrive: most at the start (spike), ever more (ramp), or evenly (poisson).")
  var arrival = Scenario().arrival
  @Option(help: "Seconds in which all buyers arrive, 0.1 to 3600.")
  var seconds = Scenario().seconds
  @Option(help: "Share of buyers that do not order what they hold, 0 to 1.")
  var abandon = Scenario().abandon
  @Option(help: "Share of buyers whose payment fails, 0 to 1; half of them pay again.")
  var fail = Scenario().fail
  @Option(help: "Deliveries of each payment event, 1 to 20.")
  var duplicates = Scenario().duplicates
  @Option(help: "Share of buyers whose payment comes before the order, 0 to 1.")
  var early = Scenario().early
  @Option(help: "Share of buyers whose payment comes after the order has expired, 0 to 1.")
  var late = Scenario().late
  @Option(help: "Share of buyers that are bots, 0 to 1; bots ask again and again.")
  var bots = Scenario().bots
  @Option(help: "Number from which all decisions of the buyers follow (default: a random one).")
  var seed: UInt64?
  @Option(help: "Most seconds for orders and payments after the last arrival, 0 to 3600.")
  var wait = Scenario().wait
  @Option(help: "Shell command that kills the server; something else must start it again.")
  var kill: String?
  @Option(help: "Seconds between two kills, 0.1 to 3600.")
  var killEvery = 10.0
  @Option(help: "File for the report as an HTML page.")
  var report: String?
  @Flag(help: "Print the whole evidence as JSON instead of the report.")
  var json = false
  @Option(help: "Bearer token of admin requests. Environment: ADMIN_TOKEN.")
  var adminToken: String?
  @Option(help: "Path of a file with the admin token. Environment: ADMIN_TOKEN_FILE.")
  var adminTokenFile: String?
  @Option(help: "Secrets, whsec_<base64>, separated by commas. Environment: WEBHOOK_SECRETS.")
  var webhookSecrets: String?
  @Option(help: "Path of a file with the secrets. Environment: WEBHOOK_SECRETS_FILE.")
  var webhookSecretsFile: String?

  private var scenario: Scenario {
    var scenario = Scenario()
    scenario.buyers = buyers
    scenario.stock = stock
    scenario.arrival = arrival
    scenario.seconds = seconds
    scenario.abandon = abandon
    scenario.fail = fail
    scenario.duplicates = duplicates
    scenario.early = early
    scenario.late = late
    scenario.bots = bots
    scenario.seed = seed ?? UInt64.random(in: 1...999_999)
    scenario.wait = wait
    return scenario
  }

  func validate() throws {
    if let problem = scenario.problem { throw ValidationError(problem) }
    guard 0.1...3600 ~= killEvery else { throw ValidationError("--kill-every must be from 0.1 to 3600 seconds") }
    guard let server = ServerAddress(url: url) else {
      throw ValidationError("--url must be http:// and a host, with a port if it is not 80; TLS is not supported")
    }
    guard isMine || isLoopback(server.host) else {
      throw ValidationError(
        "\(server.host) is not this machine; pass --yes-this-is-mine if you may load it with \(buyers) buyers")
    }
  }

  func run() async throws {
    guard let server = ServerAddress(url: url) else { throw Failure("--url is not valid") }
    let settings = Settings(flags: [
      "ADMIN_TOKEN": adminToken, "ADMIN_TOKEN_FILE": adminTokenFile, "WEBHOOK_SECRETS": webhookSecrets,
      "WEBHOOK_SECRETS_FILE": webhookSecretsFile,
    ])
    guard let token = try settings.adminToken() else {
      throw Failure("ADMIN_TOKEN is not set; set the server's, because the rehearsal makes a product of its own")
    }
    let secret = try settings.webhookSecrets().first
    // A file that cannot be written should fail before the sale, not after it.
    if let report { try write("", to: report) }
    let configuration = SaleRehearsal.Configuration(
      scenario: scenario, server: server, adminToken: token, webhookSecret: secret, killCommand: kill,
      killInterval: killEvery)
    let findings = Report(try await play(configuration))
    if let report { try write(findings.html, to: report) }
    if json {
      try findings.writeJSON { print($0, terminator: "") }
    } else {
      print(
        findings.text.split(separator: "\n", omittingEmptySubsequences: false)
          .map { String($0).escapedForTerminal }.joined(separator: "\n"))
    }
    guard findings.holds else { throw Failure(findings.verdict) }
  }

  private func play(_ configuration: SaleRehearsal.Configuration) async throws -> Evidence {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    let (interrupts, interruptSink) = AsyncStream.makeStream(of: Void.self)
    let watching = Task {
      for await _ in signals { interruptSink.yield() }
    }
    // The event loop must not wait for a slow terminal.
    let (progress, progressSink) = AsyncStream.makeStream(of: SaleProgress.self, bufferingPolicy: .bufferingNewest(1))
    let printing = Task {
      let isTerminal = isatty(STDERR_FILENO) == 1
      for await each in progress {
        FileHandle.standardError.write(Data((isTerminal ? "\r\u{1b}[K\(each.line)" : "\(each.line)\n").utf8))
      }
      if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }
    defer { watching.cancel() }
    do {
      let evidence = try await SaleRehearsal(configuration).run(interrupts: interrupts) { progressSink.yield($0) }
      progressSink.finish()
      await printing.value
      return evidence
    } catch {
      progressSink.finish()
      await printing.value
      throw error
    }
  }

  private func write(_ text: String, to path: String) throws {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      throw Failure("--report: cannot write '\(path)': \(error.localizedDescription)")
    }
  }
}

extension ArrivalPattern: ExpressibleByArgument {}
