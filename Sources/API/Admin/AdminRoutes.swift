import Checkout
import HTTPTypes
import Hummingbird

/// What operators do and see: `POST /api/admin/products`, `GET /api/admin/invariants`, `GET /api/admin/payment-events`.
struct AdminRoutes {
  let checkout: Checkout
  let bodies: RequestBodies

  func add(to router: RouterGroup<AppContext>) {
    router.post("products", use: createProduct)
      .get("invariants", use: invariants)
      .get("payment-events", use: paymentEvents)
  }

  @Sendable private func createProduct(_ request: Request, context: AppContext) async throws -> Response {
    let body = try await bodies.decode(CreateProductBody.self, from: request)
    let product = try await checkout.createProduct(body.product)
    return try .json(
      ProductBody(product), status: .created, headers: [.location: "/api/products/\(product.id)"])
  }

  @Sendable private func invariants(_ request: Request, context: AppContext) async throws -> Response {
    try .json(AuditBody(await checkout.audit()))
  }

  @Sendable private func paymentEvents(_ request: Request, context: AppContext) async throws -> Response {
    let events = try await checkout.paymentEvents()
    return try .json(["payment_events": events.map(RecordedEventBody.init)])
  }
}

private struct CreateProductBody: Decodable {
  let product: CreateProduct

  private enum CodingKeys: String, CodingKey {
    case name, price, currency
    case totalStock = "total_stock"
  }

  init(from decoder: any Decoder) throws {
    var members = try MemberReader(decoder, keyedBy: CodingKeys.self)
    let name = members.string(.name, maximumLength: 200)
    let price = members.positiveInteger(.price)
    let currency = members.currency(.currency)
    let stock = members.positiveInteger(.totalStock)
    let valid = try members.require(name, price, currency, stock)
    product = CreateProduct(name: valid.0, price: valid.1, currency: valid.2, stock: valid.3)
  }
}

/// Also what `flashsale audit --json` prints.
public struct AuditBody: Encodable {
  private let ok: Bool
  private let checks: [CheckBody]

  private struct CheckBody: Encodable {
    let name: String
    let description: String
    let ok: Bool
    let violations: Int64
  }

  public init(_ audit: Audit) {
    ok = audit.isClean
    checks = audit.checks.map {
      CheckBody(name: $0.name, description: $0.description, ok: $0.violations == 0, violations: $0.violations)
    }
  }
}

private struct RecordedEventBody: Encodable {
  private let recorded: RecordedPaymentEvent

  init(_ recorded: RecordedPaymentEvent) {
    self.recorded = recorded
  }

  private enum CodingKeys: String, CodingKey {
    case idempotencyKey = "idempotency_key"
    case orderID = "order_id"
    case status, amount, currency, verdict
    case orderStatus = "order_status"
    case receivedAt = "received_at"
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(recorded.event.idempotencyKey, forKey: .idempotencyKey)
    try container.encode(recorded.event.orderID.orderText, forKey: .orderID)
    try container.encode(recorded.event.status.rawValue, forKey: .status)
    try container.encode(recorded.event.amount, forKey: .amount)
    try container.encode(recorded.event.currency, forKey: .currency)
    try container.encode(recorded.verdict.rawValue, forKey: .verdict)
    try container.encode(recorded.orderStatus?.rawValue, forKey: .orderStatus)
    try container.encode(recorded.receivedAt.rfc3339, forKey: .receivedAt)
  }
}
