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
    var errors: [Problem.InvalidMember] = []
    var verdict: PaymentEvent.Verdict?
    if let text = request.query("verdict") {
      verdict = PaymentEvent.Verdict(rawValue: text)
      if verdict == nil {
        let words = PaymentEvent.Verdict.allCases.map(\.rawValue).joined(separator: ", ")
        errors.append(Problem.InvalidMember(pointer: "/verdict", detail: "must be one of: \(words)"))
      }
    }
    var orderID: ReservationID?
    if let text = request.query("order_id") {
      orderID = ReservationID(orderText: text)
      if orderID == nil {
        errors.append(Problem.InvalidMember(pointer: "/order_id", detail: "must be the order_id of an order"))
      }
    }
    var cursor: PaymentEventPage.Cursor?
    if let text = request.query("cursor") {
      cursor = PaymentEventPage.Cursor(text: text)
      if cursor == nil {
        errors.append(Problem.InvalidMember(pointer: "/cursor", detail: "must be a next_cursor of another page"))
      }
    }
    guard errors.isEmpty else { throw Problem.validation(errors) }
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
