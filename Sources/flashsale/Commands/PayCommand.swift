import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import StandardWebhooks
import Telemetry

struct PayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pay", abstract: "Act as the payment provider: send a payment event for an order.",
    discussion: "The first of WEBHOOK_SECRETS signs the event. Without a secret it is unsigned.")

  enum Status: String, ExpressibleByArgument, CaseIterable {
    case success, failed
  }

  @Argument(help: "Id of the order.")
  var orderID: String
  @Option(help: "Result of the payment.")
  var status = Status.success
  @Option(help: "Idempotency key of the event, 1 to 255 characters (default: a new key).")
  var key: String?
  @Option(help: "Number of concurrent deliveries of the event, 1 to 1000.")
  var times = 1
  @Option(help: "Seconds to wait before the deliveries, 0 to 86400.")
  var delay = 0.0
  @Option(help: "Base URL of the API.")
  var url = "http://127.0.0.1:8080"
  @Option(help: "Secrets, whsec_<base64>, separated by commas. Environment: WEBHOOK_SECRETS.")
  var webhookSecrets: String?
  @Option(help: "Path of a file with the secrets. Environment: WEBHOOK_SECRETS_FILE.")
  var webhookSecretsFile: String?

  /// Each delivery opens a connection.
  private static let maximumTimes = 1000
  private static let maximumDelay = 86_400.0  // seconds

  func validate() throws {
    guard 1...Self.maximumTimes ~= times else {
      throw ValidationError("--times must be from 1 to \(Self.maximumTimes)")
    }
    guard 0...Self.maximumDelay ~= delay else {
      throw ValidationError("--delay must be from 0 to \(Int(Self.maximumDelay)) seconds")
    }
  }

  private struct Event: Encodable {
    let idempotencyKey: String
    let orderID: String
    let status: String

    enum CodingKeys: String, CodingKey {
      case idempotencyKey = "idempotency_key"
      case orderID = "order_id"
      case status
    }
  }

  func run() async throws {
    let settings = Settings(flags: ["WEBHOOK_SECRETS": webhookSecrets, "WEBHOOK_SECRETS_FILE": webhookSecretsFile])
    let secret = try settings.webhookSecrets().first
    let key = key ?? "pay_" + UUID().uuidString.lowercased()
    let body = try JSONEncoder().encode(Event(idempotencyKey: key, orderID: orderID, status: status.rawValue))
    try await Task.sleep(for: .seconds(delay))

    // The id is new for each command. The idempotency key may have characters that a header cannot carry.
    let messageID = "msg_" + UUID().uuidString.lowercased()
    // If nothing listens, the command fails at once. A real provider would retry later.
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect could send the signed event to another host. Providers do not follow redirects, either.
    configuration.redirectConfiguration = .disallow
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = times
    let responses = try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      try await withThrowingTaskGroup(of: (status: UInt, text: String).self) { group in
        for _ in 0..<times {
          group.addTask { try await deliver(body, id: messageID, secret: secret, with: client) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }
    for response in responses { print(response.status, response.text.escapedForTerminal) }
    let refused = responses.count { !(200...299 ~= $0.status) }
    if refused > 0 { throw Failure("\(refused) of \(times) deliveries were refused") }
  }

  private func deliver(
    _ body: Data, id: String, secret: WebhookSecret?, with client: HTTPClient
  ) async throws -> (UInt, String) {
    var request = HTTPClientRequest(url: url + "/api/payments/webhook")
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    if let secret {
      let timestamp = Int64(Date().timeIntervalSince1970)
      request.headers.add(name: "webhook-id", value: id)
      request.headers.add(name: "webhook-timestamp", value: String(timestamp))
      request.headers.add(
        name: "webhook-signature", value: secret.signature(id: id, timestamp: timestamp, body: body))
    }
    request.body = .bytes(ByteBuffer(bytes: body))
    do {
      let response = try await client.execute(request, timeout: .seconds(30))
      return (response.status.code, String(buffer: try await response.body.collect(upTo: 1 << 20)))
    } catch {
      throw Failure("cannot reach \(url): \(error)")
    }
  }
}
