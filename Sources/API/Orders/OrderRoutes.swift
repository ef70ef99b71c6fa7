import Checkout

/// `POST /api/orders` and `GET /api/orders/{id}`.
struct OrderRoutes {
  let checkout: Checkout

  var routes: [Route] {
    [
      Route(.POST, "/api/orders", for: .buyers, callback: place),
      Route(.GET, "/api/orders/{id}", for: .buyers, show),
    ]
  }

  @Sendable private func place(_ request: Request, respond: @escaping Route.Respond) throws {
    let key = try request.idempotencyKey
    let body = try request.decode(PlaceBody.self)
    guard let holdID = ReservationID(holdText: body.holdID) else { throw Problem.notFound("hold") }
    checkout.placeOrder(holdID: holdID, idempotencyKey: key, metadata: body.metadata) { outcome in
      respond { try Self.response(to: outcome.get(), holdID) }
    }
  }

  private static func response(to outcome: PlaceOrder.Outcome, _ holdID: ReservationID) throws -> Response {
    switch outcome {
    case .placed(let order, let isReplay):
      .json(status: .created, headers: .created("/api/orders/" + order.id.orderText, isReplay: isReplay)) {
        $0.add(order)
      }
    case .holdNotFound: throw Problem.notFound("hold")
    case .alreadyOrdered: throw Problem.holdAlreadyOrdered(holdID)
    case .holdExpired: throw Problem.holdExpired
    case .holdReleased: throw Problem.holdReleased
    case .keyReused: throw Problem.keyReused
    }
  }

  @Sendable private func show(_ request: Request) async throws -> Response {
    guard let id = ReservationID(orderText: String(request.id)), let order = try await checkout.order(id) else {
      throw Problem.notFound("order")
    }
    return .json { $0.add(order) }
  }
}

struct PlaceBody: RequestBody {
  /// Valid ids are shorter. A longer text is 422, and any other invalid id is 404.
  private static let maximumIDLength = 255

  let holdID: String
  let metadata: Metadata?

  enum Member: String, CaseIterable {
    case holdID = "hold_id"
    case metadata
  }

  init(from members: inout MemberReader<Member>) throws {
    let holdID = members.string(.holdID, maximumLength: Self.maximumIDLength)
    metadata = members.ifPresent(.metadata) { $0.metadata($1) }
    self.holdID = try members.require(holdID)
  }
}

extension JSONObject {
  mutating func add(_ order: Order) {
    add("order_id", order.id.orderText)
    add("hold_id", order.id.holdText)
    add("product_id", order.id.productID)
    add("quantity", order.quantity)
    add("amount", order.amount)
    add("currency", order.currency)
    add("status", order.status.rawValue)
    add("payment_due_at", order.paymentDueAt.rfc3339)
    add("created_at", order.createdAt.rfc3339)
    add("paid_at", order.paidAt?.rfc3339)
    add("refunded_amount", order.refundedAmount)
    add("dispute", order.dispute?.rawValue)
    add("metadata", json: order.metadata?.json ?? "{}")
  }
}
