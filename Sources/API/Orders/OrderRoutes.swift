import Checkout
import HTTPTypes
import Hummingbird
import Postgres

/// `POST /api/orders` and `GET /api/orders/{id}`.
struct OrderRoutes {
  let checkout: Checkout

  func add(to router: RouterGroup<AppContext>) {
    router.get("orders/:id", use: show)
  }

  /// A buyer's second call.
  var place: FastRoute {
    FastRoute(.post, "/api/orders") { [checkout] request, reply in
      let key = try request.idempotencyKey
      let body = try RequestBodies.decode(PlaceBody.self, from: request)
      guard let holdID = ReservationID(holdText: body.holdID) else { throw Problem.notFound("hold") }
      checkout.placeOrder(holdID: holdID, idempotencyKey: key) { outcome in
        reply { try Self.answer(outcome.get(), holdID) }
      }
    }
  }

  private static func answer(_ outcome: PlaceOrder.Outcome, _ holdID: ReservationID) throws -> Answer {
    switch outcome {
    case .placed(let order, let isReplay):
      .json(status: .created, headers: .made("/api/orders/" + order.id.orderText, isReplay: isReplay)) { $0.add(order) }
    case .holdNotFound: throw Problem.notFound("hold")
    case .alreadyOrdered: throw Problem.holdAlreadyOrdered(holdID)
    case .holdExpired: throw Problem.holdExpired
    case .holdReleased: throw Problem.holdReleased
    case .keyReused: throw Problem.keyReused
    }
  }

  @Sendable private func show(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.id.flatMap({ ReservationID(orderText: $0) }),
      let order = try await checkout.order(id)
    else { throw Problem.notFound("order") }
    return .json { $0.add(order) }
  }
}

struct PlaceBody: RequestBody {
  /// Longer ones cannot be ours; the bound only keeps the error message honest.
  private static let maximumIDLength = 255

  let holdID: String

  enum Member: String, CaseIterable {
    case holdID = "hold_id"
  }

  init(from members: inout MemberReader<Member>) throws {
    let holdID = members.string(.holdID, maximumLength: Self.maximumIDLength)
    self.holdID = try members.require(holdID)
  }
}

extension JSONObject {
  fileprivate mutating func add(_ order: Order) {
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
  }
}
