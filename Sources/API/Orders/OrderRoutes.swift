import Checkout
import HTTPTypes
import Hummingbird
import Postgres

/// `POST /api/orders` and `GET /api/orders/{id}`.
struct OrderRoutes {
  let checkout: Checkout
  let bodies: RequestBodies

  func add(to router: RouterGroup<AppContext>) {
    router.group("orders")
      .post(use: place)
      .get(":id", use: show)
  }

  @Sendable private func place(_ request: Request, context: AppContext) async throws -> Response {
    let body = try await bodies.decode(PlaceBody.self, from: request)
    guard let holdID = ReservationID(holdText: body.holdID) else { throw Problem.notFound("hold") }
    switch try await checkout.placeOrder(holdID: holdID) {
    case .placed(let order):
      return try .json(
        OrderBody(order), status: .created, headers: [.location: "/api/orders/" + order.id.orderText])
    case .holdNotFound: throw Problem.notFound("hold")
    case .alreadyOrdered: throw Problem.holdAlreadyOrdered(holdID)
    case .holdExpired: throw Problem.holdExpired
    case .holdReleased: throw Problem.holdReleased
    }
  }

  @Sendable private func show(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.parameters.get("id").flatMap({ ReservationID(orderText: $0) }),
      let order = try await checkout.order(id)
    else { throw Problem.notFound("order") }
    return try .json(OrderBody(order))
  }
}

private struct PlaceBody: Decodable {
  /// Longer ones cannot be ours; the bound only keeps the error message honest.
  private static let maximumIDLength = 255

  let holdID: String

  private enum CodingKeys: String, CodingKey {
    case holdID = "hold_id"
  }

  init(from decoder: any Decoder) throws {
    var members = try MemberReader(decoder, keyedBy: CodingKeys.self)
    holdID = try members.require(members.string(.holdID, maximumLength: Self.maximumIDLength))
  }
}

struct OrderBody: Encodable {
  private let order: Order

  init(_ order: Order) {
    self.order = order
  }

  private enum CodingKeys: String, CodingKey {
    case orderID = "order_id"
    case holdID = "hold_id"
    case productID = "product_id"
    case quantity, amount, currency, status
    case paymentDueAt = "payment_due_at"
    case createdAt = "created_at"
    case paidAt = "paid_at"
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(order.id.orderText, forKey: .orderID)
    try container.encode(order.id.holdText, forKey: .holdID)
    try container.encode(order.id.productID, forKey: .productID)
    try container.encode(order.quantity, forKey: .quantity)
    try container.encode(order.amount, forKey: .amount)
    try container.encode(order.currency, forKey: .currency)
    try container.encode(order.status.rawValue, forKey: .status)
    try container.encode(order.paymentDueAt.rfc3339, forKey: .paymentDueAt)
    try container.encode(order.createdAt.rfc3339, forKey: .createdAt)
    // Null, not absent, while the order is unpaid.
    try container.encode(order.paidAt?.rfc3339, forKey: .paidAt)
  }
}
