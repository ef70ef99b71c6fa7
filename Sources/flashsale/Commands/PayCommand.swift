import API
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import StandardWebhooks
import Telemetry

struct PayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pay", abstract: "Act as the payment provider: send a payment event for an order.",
    discussion: """
      The first of WEBHOOK_SECRETS signs the event. Without a secret it is unsigned.

      With --as stripe it sends the events of Stripe, signed by the first of STRIPE_WEBHOOK_SECRETS: two for a success.
      """)

  enum Provider: String, ExpressibleByArgument, CaseIterable {
    case plain, stripe
  }

  enum Status: String, ExpressibleByArgument, CaseIterable {
    case success, failed, refunded
  }

  @Argument(help: "Id of the order.")
  var orderID: String
  @Option(name: .customLong("as"), help: "Provider whose events to send.")
  var provider = Provider.plain
  @Option(help: "Result of the payment; refunded needs --as stripe.")
  var status = Status.success
  @Option(help: "Idempotency key of the event, 1 to 255 characters (default: a new key); id of Stripe's PaymentIntent.")
  var key: String?
  @Option(help: "Amount in minor units (default: none; as Stripe, the order's). Of a refund, the sum of all so far.")
  var amount: Int64?
  @Option(help: "Currency of the amount, three letters (default: as for the amount).")
  var currency: String?
  @Option(help: "Number of concurrent deliveries of each event, 1 to 1000.")
  var times = 1
  @Option(help: "Seconds to wait before the deliveries, 0 to 86400.")
  var delay = 0.0
  @Option(help: "Base URL of the API.")
  var url = "http://127.0.0.1:8080"
  @Option(help: "Secrets, whsec_<base64>, separated by commas. Environment: WEBHOOK_SECRETS.")
  var webhookSecrets: String?
  @Option(help: "Path of a file with the secrets. Environment: WEBHOOK_SECRETS_FILE.")
  var webhookSecretsFile: String?
  @Option(help: "Secrets of Stripe's endpoint, whsec_..., separated by commas. Environment: STRIPE_WEBHOOK_SECRETS.")
  var stripeWebhookSecrets: String?
  @Option(help: "Path of a file with these secrets. Environment: STRIPE_WEBHOOK_SECRETS_FILE.")
  var stripeWebhookSecretsFile: String?

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
    if let amount, amount < 0 { throw ValidationError("--amount must be at least 0") }
    if status == .refunded, provider == .plain { throw ValidationError("--status refunded needs --as stripe") }
  }

  func run() async throws {
    let settings = Settings(flags: [
      "WEBHOOK_SECRETS": webhookSecrets, "WEBHOOK_SECRETS_FILE": webhookSecretsFile,
      "STRIPE_WEBHOOK_SECRETS": stripeWebhookSecrets, "STRIPE_WEBHOOK_SECRETS_FILE": stripeWebhookSecretsFile,
    ])
    // If nothing listens, the command fails at once. A real provider would retry later.
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.retryConnectionEstablishment = false
    // A redirect could send the signed event to another host. Providers do not follow redirects, either.
    configuration.redirectConfiguration = .disallow
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2 * times
    let responses = try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      let messages =
        switch provider {
        case .plain: try plainMessages(settings)
        case .stripe: try await stripeMessages(settings, client)
        }
      try await Task.sleep(for: .seconds(delay))
      return try await withThrowingTaskGroup(of: (status: UInt, text: String).self) { group in
        for message in messages {
          for _ in 0..<times { group.addTask { try await deliver(message, with: client) } }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }
    for response in responses { print(response.status, response.text.escapedForTerminal) }
    let refused = responses.count { !(200...299 ~= $0.status) }
    if refused > 0 { throw Failure("\(refused) of \(responses.count) deliveries were refused") }
  }

  private func plainMessages(_ settings: Settings) throws -> [ProviderMessage] {
    let secret = try settings.webhookSecrets().first
    let payment = PlainPayment(
      idempotencyKey: key ?? "pay_" + UUID().uuidString.lowercased(), orderID: orderID, status: status.rawValue,
      amount: amount, currency: currency)
    return [
      ProviderMessage(
        path: "/api/payments/webhook", body: try JSONEncoder().encode(payment),
        signer: secret.map { .standardWebhooks($0) })
    ]
  }

  private func stripeMessages(_ settings: Settings, _ client: HTTPClient) async throws -> [ProviderMessage] {
    guard let secret = try settings.stripeWebhookSecrets().first else {
      throw Failure("STRIPE_WEBHOOK_SECRETS is not set; the server accepts no unsigned events of Stripe")
    }
    // The server does not read the amount of a failure.
    var money = (amount: amount ?? 0, currency: currency ?? "usd")
    if status != .failed, amount == nil || currency == nil {
      let order = try await order(client)
      money = (amount ?? order.amount, currency ?? order.currency)
    }
    guard let amount = StripeAmount.ofStripe(minorUnits: money.amount, money.currency.uppercased()) else {
      throw Failure("Stripe has no amount of \(money.amount) \(money.currency); it has no parts of this currency")
    }
    let payment = StripePayment(
      intent: key ?? StripePayment.intent(ofOrder: orderID), orderID: orderID, amount: amount,
      currency: money.currency)
    let bodies =
      switch status {
      case .success: try payment.succeeded()
      case .failed: try payment.failed()
      case .refunded: try payment.refunded()
      }
    return bodies.map { ProviderMessage(path: "/api/payments/webhook/stripe", body: $0, signer: .stripe(secret)) }
  }

  private struct Order: Decodable {
    let amount: Int64
    let currency: String
  }

  private func order(_ client: HTTPClient) async throws -> Order {
    let (status, body) = try await response(to: HTTPClientRequest(url: url + "/api/orders/" + orderID), client)
    guard status == 200 else {
      throw Failure("there is no order \(orderID) to pay; with --amount and --currency the payment may come before it")
    }
    return try JSONDecoder().decode(Order.self, from: Data(body.readableBytesView))
  }

  private func deliver(_ message: ProviderMessage, with client: HTTPClient) async throws -> (UInt, String) {
    var request = HTTPClientRequest(url: url + message.path)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    for (name, value) in message.headers(at: Int64(Date().timeIntervalSince1970)) {
      request.headers.add(name: name, value: value)
    }
    request.body = .bytes(ByteBuffer(bytes: message.body))
    let (status, body) = try await response(to: request, client)
    return (status, String(buffer: body))
  }

  private func response(to request: HTTPClientRequest, _ client: HTTPClient) async throws -> (UInt, ByteBuffer) {
    do {
      let response = try await client.execute(request, timeout: .seconds(30))
      return (response.status.code, try await response.body.collect(upTo: 1 << 20))
    } catch {
      throw Failure("cannot reach \(url): \(error)")
    }
  }
}
