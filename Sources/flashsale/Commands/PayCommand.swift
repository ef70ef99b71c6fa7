import API
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import Telemetry

struct PayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pay", abstract: "Play the payment provider: send a payment event for an order.",
    discussion: "Signed with the first of WEBHOOK_SECRETS; unsigned when there is none.")

  enum Status: String, ExpressibleByArgument, CaseIterable {
    case success, failed
  }

  @Argument(help: "The order's id.")
  var orderID: String
  @Option(help: "How the payment went.")
  var status = Status.success
  @Option(help: "The event's idempotency key. A new one is made when none is given.")
  var key: String?
  @Option(help: "Deliver the event this many times, all at once.")
  var times = 1
  @Option(help: "Seconds to wait first.")
  var delay = 0.0
  @Option(help: "Where the API is.")
  var url = "http://127.0.0.1:8080"
  @Option(help: "Secrets: whsec_..., comma-separated. Environment: WEBHOOK_SECRETS.")
  var webhookSecrets: String?
  @Option(help: "A file with them.")
  var webhookSecretsFile: String?

  /// Bounds the connections that one call opens.
  private static let maximumTimes = 1000
  private static let maximumDelay = 86_400.0

  func validate() throws {
    guard 1...Self.maximumTimes ~= times else { throw ValidationError("--times is from 1 to \(Self.maximumTimes)") }
    guard 0...Self.maximumDelay ~= delay else {
      throw ValidationError("--delay is from 0 to \(Int(Self.maximumDelay))")
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

    // Of the delivery, whatever the key: a header has a narrower form than that.
    let messageID = "msg_" + UUID().uuidString.lowercased()
    // Nobody listening is an answer too; a provider would try again later, this command does not.
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect would hand the signed event to whatever host it names. Providers do not follow redirects either.
    configuration.redirectConfiguration = .disallow
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = times
    let answers = try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      try await withThrowingTaskGroup(of: (status: UInt, text: String).self) { group in
        for _ in 0..<times {
          group.addTask { try await deliver(body, id: messageID, secret: secret, with: client) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }
    for answer in answers { print(answer.status, answer.text.escapedForTerminal) }
    let refused = answers.count { !(200...299 ~= $0.status) }
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
