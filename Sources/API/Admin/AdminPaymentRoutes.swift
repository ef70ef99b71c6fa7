import Checkout
import Foundation

/// `GET /api/admin/payment-events` and `POST /api/admin/payment-events/{idempotency_key}/settle`.
struct AdminPaymentRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] {
    [
      AdminRoute(.GET, "/api/admin/payment-events", .read, list),
      AdminRoute(.POST, "/api/admin/payment-events/{idempotency_key}/settle", .operate, settle),
    ]
  }

  @Sendable private func list(_ request: Request) async throws -> Response {
    var query = QueryReader(request)
    let verdict = query.word("verdict", PaymentEvent.Verdict.self)
    let orderID = query.value("order_id", "must be the order_id of an order") { ReservationID(orderText: $0) }
    let cursor = query.cursor { PaymentEventPage.Cursor(text: $0) }
    try query.requireValid()
    let page = try await checkout.paymentEvents(verdict: verdict, orderID: orderID, from: cursor)
    return .json { json in
      json.add("payment_events", page.events) { $1.add($0) }
      json.add("next_cursor", page.next?.text)
    }
  }

  @Sendable private func settle(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    guard let key = String(request.parameter).removingPercentEncoding,
      1...255 ~= key.unicodeScalars.count, !key.unicodeScalars.contains("\0"),
      let settled = try await checkout.settleRefund(idempotencyKey: key, by: admin.author(of: request))
    else { throw Problem.notFound("payment event") }
    guard settled.settledAt != nil else {
      throw Problem(
        .refundNotDue, "The event's verdict is \(settled.verdict.rawValue), so no refund is due for it.")
    }
    return .json { $0.add(settled) }
  }
}

extension JSONObject {
  mutating func add(_ recorded: RecordedPaymentEvent) {
    add("idempotency_key", recorded.event.idempotencyKey)
    add("order_id", recorded.event.orderID.orderText)
    add("status", recorded.event.status.rawValue)
    add("amount", recorded.event.amount)
    add("currency", recorded.event.currency)
    add("verdict", recorded.verdict.rawValue)
    add("order_status", recorded.orderStatus?.rawValue)
    add("received_at", recorded.receivedAt.rfc3339)
    add("settled_at", recorded.settledAt?.rfc3339)
    add("payment_key", recorded.event.paymentKey)
  }
}
