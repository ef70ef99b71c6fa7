import Checkout
import FoundationEssentials
import HTTPTypes
import Hummingbird

/// `POST /api/payments/webhook`.
struct WebhookRoutes {
  let checkout: Checkout
  let bodies: RequestBodies
  /// Nil takes unsigned events.
  let verifier: WebhookVerifier?

  func add(to router: RouterGroup<AppContext>) {
    router.post("payments/webhook", use: receive)
  }

  @Sendable private func receive(_ request: Request, context: AppContext) async throws -> Response {
    let bytes = try await bodies.bytes(of: request)
    if let verifier {
      let isAuthentic = verifier.isAuthentic(
        id: request.headers[.webhookID], timestamp: request.headers[.webhookTimestamp],
        signatures: request.headers[.webhookSignature], body: Array(bytes.readableBytesView),
        now: Int64(Date().timeIntervalSince1970))
      guard isAuthentic else { throw Problem.invalidSignature }
    }
    let body = try bodies.decode(EventBody.self, from: bytes)
    guard let orderID = ReservationID(orderText: body.orderID) else { throw Problem.notFound("order") }
    let event = PaymentEvent(
      idempotencyKey: body.idempotencyKey, orderID: orderID, status: body.status, amount: body.amount,
      currency: body.currency)
    switch try await checkout.applyPaymentEvent(event) {
    case .settled(let verdict, let orderStatus, let isReplay):
      return .json(
        status: verdict == .parked ? .accepted : .ok, headers: isReplay ? [.idempotentReplayed: "true"] : [:]
      ) { json in
        json.add("order_id", orderID.orderText)
        json.add("order_status", orderStatus?.rawValue)
        json.add("verdict", verdict.rawValue)
      }
    case .keyReused: throw Problem.keyReused
    }
  }
}

extension HTTPField.Name {
  static let webhookID = Self("webhook-id")!
  static let webhookTimestamp = Self("webhook-timestamp")!
  static let webhookSignature = Self("webhook-signature")!
}

struct EventBody: Decodable {
  let idempotencyKey: String
  let orderID: String
  let status: PaymentEvent.Status
  let amount: Int64?
  let currency: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case idempotencyKey = "idempotency_key"
    case orderID = "order_id"
    case status, amount, currency
  }

  init(from decoder: any Decoder) throws {
    var members = try MemberReader(decoder, keyedBy: CodingKeys.self)
    let key = members.string(.idempotencyKey, maximumLength: 255)
    let order = members.string(.orderID, maximumLength: 255)
    let status = members.word(.status, PaymentEvent.Status.self)
    amount = members.ifPresent(.amount) { $0.amount($1) }
    currency = members.ifPresent(.currency) { $0.currency($1) }
    (idempotencyKey, orderID, self.status) = try members.require(key, order, status)
  }
}
