import ArgumentParser
import AsyncHTTPClient
import Checkout
import Foundation
import StandardWebhooks
import UnixSignals

struct ListenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "listen", abstract: "Forward the events of a server to a program on this machine, signed.",
    discussion: """
      It reads the feed of a server that runs anywhere, and sends each new event to --forward, as the server would send it
      to an endpoint. So a receiver can be developed without a public address.

      The events begin with the start of the command. The feed must be on; --turn-on turns it on. Ctrl-C ends the command.
      """)

  @Option(help: "URL to which the events are sent, such as http://127.0.0.1:3000/hooks.")
  var forward: String
  @Option(help: "Types of events, separated by commas, such as order.*,refund.due (default: all of the feed).")
  var types: String?
  @Option(help: "Base URL of the API.")
  var url = "http://127.0.0.1:8080"
  @Flag(help: "Turn the feed on if it is off, for these types, or for all but holds.")
  var turnOn = false
  @Option(help: "Secret that signs the events, whsec_<base64> (default: a new one, which is printed).")
  var secret: String?
  @Option(
    name: [.long, .customLong("token")],
    help: "Bearer token of admin requests, or a key of the scope read. Environment: ADMIN_TOKEN.")
  var adminToken: String?
  @Option(help: "Path of a file with the admin token. Environment: ADMIN_TOKEN_FILE.")
  var adminTokenFile: String?

  private var patterns: [EventPattern]? {
    types?.split(separator: ",", omittingEmptySubsequences: false).compactMap {
      EventPattern(text: $0.trimmingWhiteSpace())
    }
  }

  func validate() throws {
    if let types, patterns?.count != types.split(separator: ",", omittingEmptySubsequences: false).count {
      throw ValidationError("--types must be types such as order.paid, or order.* or *, separated by commas")
    }
    guard let url = URL(string: forward), ["http", "https"].contains(url.scheme), url.host?.isEmpty == false else {
      throw ValidationError("--forward must be a URL such as http://127.0.0.1:3000/hooks")
    }
    if let secret, WebhookSecret(secret) == nil {
      throw ValidationError(
        "--secret must be whsec_ and a key of at least \(WebhookSecret.minimumKeyBytes) bytes in Base64")
    }
  }

  func run() async throws {
    let settings = Settings(flags: ["ADMIN_TOKEN": adminToken, "ADMIN_TOKEN_FILE": adminTokenFile])
    guard let token = try settings.adminToken() else {
      throw Failure("ADMIN_TOKEN is not set; set the server's, or a key of `flashsale key create --scope read`")
    }
    let text = secret ?? EndpointSecret.new().revealed()
    guard let signing = WebhookSecret(text) else { throw Failure("--secret is not valid") }
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect could send the token or the event to another host.
    configuration.redirectConfiguration = .disallow
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      let feed = EventFeedReader(client: client, url: url, token: token)
      let forwarder = EventForwarder(client: client, url: forward, signer: WebhookSigner([signing]))
      try await withThrowingTaskGroup { group in
        // A signal also ends the search for the end of the feed, which reads up to 30 days of events.
        group.addTask { for await _ in signals { return } }
        group.addTask {
          if turnOn { try await feed.turnOn(for: patterns?.map(\.text) ?? ["*"]) }
          let start = try await feed.end()
          print("Forwarding events of \(url) to \(forward).")
          if secret == nil { print("They are signed with \(text)") }
          let types = patterns.map { Set($0.flatMap(\.types).map(\.rawValue)) }
          if let types, case let others = try await feed.unrecorded(of: types), !others.isEmpty {
            print("The feed does not record \(others.joined(separator: ", ")). PUT /api/admin/event-feed adds types.")
          }
          try await feed.follow(from: start) { event in
            if types?.contains(event.type) ?? true { await forwarder.forward(event) }
          }
        }
        defer { group.cancelAll() }
        try await group.next()
      }
    }
  }
}
