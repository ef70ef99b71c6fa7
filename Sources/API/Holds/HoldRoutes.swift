import Checkout

/// `POST /api/holds`, `POST /api/products/{id}/holds`, `GET` and `DELETE /api/holds/{id}`.
struct HoldRoutes {
  let checkout: Checkout

  var routes: [Route] {
    [
      Route(.POST, "/api/holds", for: .buyers, callback: place),
      Route(.POST, "/api/products/{id}/holds", for: .buyers, callback: placeOfProduct),
      Route(.GET, "/api/holds/{id}", for: .buyers, show),
      Route(.DELETE, "/api/holds/{id}", for: .buyers, release),
    ]
  }

  @Sendable private func place(_ request: Request, respond: @escaping Route.Respond) throws {
    let body = try request.decode(ReserveBody.self)
    try reserve(body.quantity, of: body.productID, for: body.customerID, body.metadata, request, respond)
  }

  /// A balancer can send all calls for one product to one server, because the product is in the path.
  @Sendable private func placeOfProduct(_ request: Request, respond: @escaping Route.Respond) throws {
    guard let productID = request.productID else { throw Problem.notFound("product") }
    let body = try request.decode(ReserveOfProductBody.self)
    try reserve(body.quantity, of: productID, for: body.customerID, body.metadata, request, respond)
  }

  private func reserve(
    _ quantity: Int32, of productID: Int32, for customerID: String?, _ metadata: Metadata?, _ request: Request,
    _ respond: @escaping Route.Respond
  ) throws {
    let customer = request.customer
    checkout.reserveHold(
      productID: productID, quantity: quantity, customerID: try customer.id(claimed: customerID),
      idempotencyKey: try request.idempotencyKey, metadata: metadata
    ) { outcome in
      respond { try Self.response(to: outcome.get(), customer) }
    }
  }

  private static func response(to outcome: ReserveHold.Outcome, _ customer: Customer) throws -> Response {
    switch outcome {
    case .held(let hold, let isReplay):
      .json(status: .created, headers: .created("/api/holds/" + hold.id.holdText, isReplay: isReplay)) { $0.add(hold) }
    case .insufficientStock(let left): throw Problem.insufficientStock(left)
    case .saleNotStarted(let startsAt, let wait): throw Problem.saleNotStarted(startsAt: startsAt, in: wait)
    case .salePaused: throw Problem.salePaused
    case .saleEnded(let endsAt): throw Problem.saleEnded(endsAt: endsAt)
    case .quantityAboveLimit(let maximum):
      throw Problem.validation("/quantity", "must be at most \(maximum) for this product")
    case .customerRequired: throw customer.required
    case .customerLimitReached(let limit): throw Problem.customerLimitReached(limit)
    case .keyReused: throw Problem.keyReused
    case .productNotFound: throw Problem.notFound("product")
    }
  }

  @Sendable private func show(_ request: Request) async throws -> Response {
    guard let id = request.holdID, let hold = try await checkout.hold(id) else { throw Problem.notFound("hold") }
    return .json { $0.add(hold) }
  }

  @Sendable private func release(_ request: Request) async throws -> Response {
    guard let id = request.holdID, let hold = try await checkout.releaseHold(id) else {
      throw Problem.notFound("hold")
    }
    switch hold.status {
    case .released: return .json { $0.add(hold) }
    case .ordered: throw Problem.holdAlreadyOrdered(id)
    case .expired, .active: throw Problem.holdExpired
    }
  }
}

extension Request {
  /// The hold's id in the path. Nil if it is not a valid id.
  fileprivate var holdID: ReservationID? {
    ReservationID(holdText: String(id))
  }
}

extension JSONObject {
  fileprivate mutating func add(_ hold: Hold) {
    add("hold_id", hold.id.holdText)
    add("product_id", hold.id.productID)
    add("quantity", hold.quantity)
    add("status", hold.status.rawValue)
    add("expires_at", hold.expiresAt.rfc3339)
    // Rounded down, so that the hold lasts at least this long.
    add("expires_in_seconds", hold.remaining.components.seconds)
    add("metadata", json: hold.metadata?.json ?? "{}")
  }
}
