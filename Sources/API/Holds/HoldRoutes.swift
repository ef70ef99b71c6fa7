import Checkout
import HTTPTypes
import Hummingbird

/// `POST /api/holds`, `GET` and `DELETE /api/holds/{id}`.
struct HoldRoutes {
  let checkout: Checkout

  func add(to router: RouterGroup<AppContext>) {
    router.group("holds")
      .get(":id", use: show)
      .delete(":id", use: release)
  }

  /// A buyer's first call.
  var reserve: FastRoute {
    FastRoute(.post, "/api/holds") { [checkout] request, reply in
      let key = try request.idempotencyKey
      let body = try RequestBodies.decode(ReserveBody.self, from: request)
      checkout.reserveHold(
        productID: body.productID, quantity: body.quantity, customerID: body.customerID, idempotencyKey: key
      ) { outcome in
        reply { try Self.answer(outcome.get()) }
      }
    }
  }

  private static func answer(_ outcome: ReserveHold.Outcome) throws -> Answer {
    switch outcome {
    case .held(let hold, let isReplay):
      .json(status: .created, headers: .made("/api/holds/" + hold.id.holdText, isReplay: isReplay)) { $0.add(hold) }
    case .insufficientStock(let left): throw Problem.insufficientStock(left)
    case .saleNotStarted(let startsAt, let wait): throw Problem.saleNotStarted(startsAt: startsAt, in: wait)
    case .saleEnded(let endsAt): throw Problem.saleEnded(endsAt: endsAt)
    case .quantityAboveLimit(let maximum):
      throw Problem.validation("/quantity", "must be at most \(maximum) for this product")
    case .customerRequired:
      throw Problem.validation("/customer_id", "is required, since this product has a limit per customer")
    case .customerLimitReached(let limit): throw Problem.customerLimitReached(limit)
    case .keyReused: throw Problem.keyReused
    case .productNotFound: throw Problem.notFound("product")
    }
  }

  @Sendable private func show(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.holdID, let hold = try await checkout.hold(id) else { throw Problem.notFound("hold") }
    return .json { $0.add(hold) }
  }

  @Sendable private func release(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.holdID, let hold = try await checkout.releaseHold(id) else {
      throw Problem.notFound("hold")
    }
    switch hold.status {
    case .released: return .json { $0.add(hold) }
    case .ordered: throw Problem.holdAlreadyOrdered(id)
    case .expired, .active: throw Problem.holdExpired
    }
  }
}

extension AppContext {
  /// The hold's id in the path, nil when it cannot be one of ours.
  fileprivate var holdID: ReservationID? {
    id.flatMap { ReservationID(holdText: $0) }
  }
}

struct ReserveBody: RequestBody {
  let productID: Int32
  let quantity: Int32
  let customerID: String?

  enum Member: String, CaseIterable {
    case productID = "product_id"
    case customerID = "customer_id"
    case quantity
    /// The name that some clients use for `quantity`.
    case qty
  }

  init(from members: inout MemberReader<Member>) throws {
    let productID = members.positiveInteger(.productID)
    let quantity = members.positiveInteger(members.contains(.qty) && !members.contains(.quantity) ? .qty : .quantity)
    customerID = members.ifPresent(.customerID) { $0.customerID($1) }
    (self.productID, self.quantity) = try members.require(productID, quantity)
  }
}

extension JSONObject {
  fileprivate mutating func add(_ hold: Hold) {
    add("hold_id", hold.id.holdText)
    add("product_id", hold.id.productID)
    add("quantity", hold.quantity)
    add("status", hold.status.rawValue)
    add("expires_at", hold.expiresAt.rfc3339)
    // Whole seconds that are certainly left.
    add("expires_in_seconds", hold.remaining.components.seconds)
  }
}
