import API
import ArgumentParser
import Checkout
@preconcurrency import Glibc
import Postgres
import Secrets
import Time

struct EndpointCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "endpoint", abstract: "Send events of the shop to addresses, and manage these.",
    subcommands: [
      Create.self, List.self, Update.self, Delete.self, RotateSecret.self, Test.self, Recover.self,
    ])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create an endpoint and print its secret, once.",
      discussion: "Its id is on standard error. The receiver verifies each event with the secret.")

    @Argument(help: "URL that gets the events, such as https://shop.example/hooks.")
    var url: String
    @Option(help: "Types of events, separated by commas: a type, order.* or *.")
    var events: EventPatterns
    @Option(help: "What the endpoint is for, 1 to 255 characters.")
    var description: String?
    @OptionGroup var database: DatabaseOptions

    func validate() throws {
      guard 1...255 ~= description?.unicodeScalars.count ?? 1 else {
        throw ValidationError("--description must have 1 to 255 characters")
      }
    }

    func run() async throws {
      let settings = database.settings
      try await check(url, settings)
      let creation = CreateEndpoint(url: url, events: events.patterns, description: description)
      let created = try await withPool(try settings.database()) { try await $0.createEndpoint(creation) }
      guard let created else { throw Failure("there are as many endpoints as there can be; delete one first") }
      tell("The endpoint is \(created.id.text).")
      printSecret(created.secret)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the endpoints, the oldest first.")

    @Flag(help: "Print a JSON object for each endpoint instead of a table.")
    var json = false
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let endpoints = try await withPool(try database.settings.database()) { try await $0.endpoints() }
      if json { return endpoints.forEach { print($0.json) } }
      printTable(
        ["ID", "STATUS", "FAILURES", "EVENTS", "URL"],
        endpoints.map { endpoint in
          let reason = endpoint.disabledReason.map { " (\($0.rawValue))" } ?? ""
          return [
            endpoint.id.text, endpoint.status.rawValue + reason, "\(endpoint.failures)",
            endpoint.events.joined(separator: ","), endpoint.url,
          ]
        })
    }
  }

  struct Update: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change, disable or enable an endpoint.",
      discussion: "What happens while an endpoint is disabled is not sent later. Enabling it sends what waits.")

    @Argument(help: "Id of the endpoint.")
    var id: EndpointID
    @Option(help: "URL that gets the events.")
    var url: String?
    @Option(help: "Types of events, separated by commas.")
    var events: EventPatterns?
    @Option(help: "What the endpoint is for, at most 255 characters; empty for nothing.")
    var description: String?
    @Flag(help: "Enable or disable the endpoint.")
    var status: StatusFlag?
    @OptionGroup var database: DatabaseOptions

    enum StatusFlag: String, EnumerableFlag {
      case enable, disable
    }

    func validate() throws {
      guard url != nil || events != nil || description != nil || status != nil else {
        throw ValidationError("give at least one of --url, --events, --description, --enable and --disable")
      }
      guard description?.unicodeScalars.count ?? 0 <= 255 else {
        throw ValidationError("--description must have at most 255 characters")
      }
    }

    func run() async throws {
      let settings = database.settings
      if let url { try await check(url, settings) }
      var changes = UpdateEndpoint(id: id)
      changes.url = url
      changes.events = events?.patterns
      changes.endpointDescription = description
      changes.status = status.map { $0 == .enable ? .enabled : .disabled }
      let endpoint = try await withPool(try settings.database()) { [changes] in try await $0.updateEndpoint(changes) }
      guard endpoint != nil else { throw noEndpoint(id) }
      print("done")
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Delete an endpoint and its pending deliveries.")

    @Argument(help: "Id of the endpoint.")
    var id: EndpointID
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let isDone = try await withPool(try database.settings.database()) { try await $0.deleteEndpoint(id) }
      guard isDone else { throw noEndpoint(id) }
      print("deleted")
    }
  }

  struct RotateSecret: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a new secret of an endpoint and print it, once.",
      discussion: "For 24 hours, both secrets sign each event.")

    @Argument(help: "Id of the endpoint.")
    var id: EndpointID
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let secret = try await withPool(try database.settings.database()) { try await $0.rotateSecret(of: id) }
      guard let secret else { throw noEndpoint(id) }
      printSecret(secret)
    }
  }

  struct Test: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send an event of the type endpoint.test to an endpoint, and print its id.",
      discussion: "A server sends the event. `flashsale delivery list --event ID` shows what became of it.")

    @Argument(help: "Id of the endpoint.")
    var id: EndpointID
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let event = try await withPool(try database.settings.database()) { try await $0.testEndpoint(id) }
      guard let event else { throw noEndpoint(id) }
      print(event.text)
    }
  }

  struct Recover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send to an endpoint what it missed, and enable it.",
      discussion: """
        It gets events that failed, and events that it wants and that were never sent to it. The command prints how \
        many deliveries wait for it then. A command that was interrupted goes on when it runs again.
        """)

    @Argument(help: "Id of the endpoint.")
    var id: EndpointID
    @Option(help: "Time of the first event, such as 2026-11-27T09:00:00Z.")
    var since: Timestamp
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let pending = try await withPool(try database.settings.database()) { pool -> Int64? in
        while let progress = try await pool.recover(id, since: since) {
          if progress.isComplete { return progress.pending }
          tell("\(progress.pending) deliveries wait so far")
        }
        return nil
      }
      guard let pending else { throw noEndpoint(id) }
      print(pending)
    }
  }
}

/// Types of events, separated by commas.
struct EventPatterns: ExpressibleByArgument {
  let patterns: [EventPattern]

  init?(argument: String) {
    let texts = argument.split(separator: ",", omittingEmptySubsequences: false)
    patterns = texts.compactMap { EventPattern(text: $0.trimmingWhiteSpace()) }
    if patterns.count != texts.count { return nil }
  }
}

extension EndpointID: ExpressibleByArgument {
  package init?(argument: String) { self.init(text: argument) }
}

/// Refuses a URL to which no server would send events. The servers of this database should have the same setting.
private func check(_ url: String, _ settings: Settings) async throws {
  let policy = try settings.endpointPolicy()
  if let problem = await policy.problem(with: url) {
    throw Failure("the URL cannot get events: \(problem)")
  }
}

private func noEndpoint(_ id: EndpointID) -> Failure { Failure("there is no endpoint \(id.text)") }

/// Only the secret is on standard output, so that it can go into a file or another command.
private func printSecret(_ secret: Secret) {
  tell("This is the only time that the secret is shown. Give it to the receiver, and keep it secret.")
  print(secret.revealed())
}

private func tell(_ line: String) { fputs(line + "\n", stderr) }
