import Checkout

/// `GET /api/admin/orders/{id}` and `POST /api/admin/orders/{id}/refunds`.
struct AdminRefundRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] {
    [
      AdminRoute(.GET, "/api/admin/orders/{id}", .read, show),
      AdminRoute(.POST, "/api/admin/orders/{id}/refunds", .operate, refund),
    ]
  }

  @Sendable private func show(_ request: Request) async throws -> Response {
    guard let id = ReservationID(orderText: String(request.id)), let history = try await checkout.orderHistory(id)
    else {
      throw Problem.notFound("order")
    }
    return .json { $0.add(history) }
  }

  /// Without a key, a client whose response is lost could only guess whether the money was recorded as refunded:
  ///
  ///     server: records a refund of half the amount, and commits
  ///     server: crashes before it responds
  ///     client: repeats the request; without a key, the other half is recorded, too
  @Sendable private func refund(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let key = try request.requiredIdempotencyKey
    let body = try request.decode(RefundBody.self)
    guard let id = ReservationID(orderText: String(request.id)) else { throw Problem.notFound("order") }
    let order = RefundOrder(
      orderID: id, amount: body.amount, isRestock: body.isRestock, reason: body.reason, idempotencyKey: key)
    switch try await checkout.refundOrder(order, by: admin.author(of: request)) {
    case .refunded(let refund, let isReplay):
      // The response to a GET of the order has the refund.
      return .json(
        status: .created, headers: .created("/api/admin/orders/" + id.orderText, isReplay: isReplay)
      ) { $0.add(refund) }
    case .keyReused: throw Problem.keyReused
    case .orderNotFound: throw Problem.notFound("order")
    case .orderNotPaid(let status): throw Problem.orderNotPaid(status)
    case .refundTooLarge(let left): throw Problem.refundTooLarge(left: left)
    }
  }
}

struct RefundBody: RequestBody {
  /// In minor units of the order's currency. Nil for all that is left.
  let amount: Int64?
  let isRestock: Bool
  let reason: String?

  enum Member: String, CaseIterable {
    case amount, restock, reason
  }

  init(from members: inout MemberReader<Member>) throws {
    amount = members.ifPresent(.amount) { $0.positiveAmount($1) }
    isRestock = members.ifPresent(.restock) { $0.boolean($1) } ?? false
    reason = members.ifPresent(.reason) { $0.string($1, maximumLength: RefundOrder.maximumReasonLength) }
    try members.requireValid()
  }
}

extension OrderHistory {
  /// The body of the response to `GET /api/admin/orders/{id}`.
  package var json: String {
    var object = JSONObject()
    object.add(self)
    return String(buffer: object.finished())
  }
}

extension Refund {
  /// The body of the response to `POST /api/admin/orders/{id}/refunds`.
  package var json: String {
    var object = JSONObject()
    object.add(self)
    return String(buffer: object.finished())
  }
}

extension JSONObject {
  fileprivate mutating func add(_ history: OrderHistory) {
    add(history.order)
    add("customer_id", history.customerID)
    add("refundable_amount", history.refundableAmount)
    add("restocked", history.isRestocked)
    add("payment_events", history.paymentEvents) { $1.add($0) }
    add("refunds", history.refunds) { $1.add($0) }
  }

  fileprivate mutating func add(_ refund: Refund) {
    add("refund_id", refund.id.text)
    add("order_id", refund.orderID.orderText)
    add("amount", refund.amount)
    add("currency", refund.currency)
    add("restock", refund.isRestock)
    add("reason", refund.reason)
    add("source", refund.source.rawValue)
    add("created_at", refund.createdAt.rfc3339)
  }
}
