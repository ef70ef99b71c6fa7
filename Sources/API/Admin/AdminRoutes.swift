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
    return .json(status: .created, headers: [.location: "/api/products/\(product.id)"]) { $0.add(product) }
  }

  @Sendable private func invariants(_ request: Request, context: AppContext) async throws -> Response {
    let audit = try await checkout.audit()
    return .json { $0.add(audit) }
  }

  @Sendable private func paymentEvents(_ request: Request, context: AppContext) async throws -> Response {
    let events = try await checkout.paymentEvents()
    return .json { $0.add("payment_events", events) { $1.add($0) } }
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

extension Audit {
  /// The answer of `GET /api/admin/invariants`.
  public var json: String {
    var object = JSONObject()
    object.add(self)
    return String(buffer: object.finished())
  }
}

extension JSONObject {
  fileprivate mutating func add(_ audit: Audit) {
    add("ok", audit.isClean)
    add("checks", audit.checks) { check, json in
      json.add("name", check.name)
      json.add("description", check.description)
      json.add("ok", check.violations == 0)
      json.add("violations", check.violations)
    }
  }

  fileprivate mutating func add(_ recorded: RecordedPaymentEvent) {
    add("idempotency_key", recorded.event.idempotencyKey)
    add("order_id", recorded.event.orderID.orderText)
    add("status", recorded.event.status.rawValue)
    add("amount", recorded.event.amount)
    add("currency", recorded.event.currency)
    add("verdict", recorded.verdict.rawValue)
    add("order_status", recorded.orderStatus?.rawValue)
    add("received_at", recorded.receivedAt.rfc3339)
  }
}
