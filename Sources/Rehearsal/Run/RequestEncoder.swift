import Foundation
import NIOCore
import StandardWebhooks

/// Makes the HTTP request of a buyer or of the payment provider.
struct RequestEncoder: Sendable {
  let product: Evidence.Product
  /// Nil if the server accepts unsigned payment events.
  let secret: WebhookSecret?

  /// - Parameter now: Unix time in seconds.
  func call(for record: RequestRecord, now: Int64) -> HTTPCall {
    let key = product.key(record.key ?? "")
    switch record.kind {
    case .hold:
      return HTTPCall(
        method: .POST, path: "/api/holds", headers: [("idempotency-key", key)],
        body: ByteBuffer(
          string: #"{"product_id":\#(product.id),"quantity":\#(record.template.quantity ?? 1)}"#))
    case .order:
      return HTTPCall(
        method: .POST, path: "/api/orders", headers: [("idempotency-key", key)],
        body: ByteBuffer(string: #"{"hold_id":"\#(record.holdID ?? "")"}"#))
    case .release: return HTTPCall(method: .DELETE, path: "/api/holds/\(record.holdID ?? "")")
    case .payment: return payment(record, key: key, now: now)
    }
  }

  private func payment(_ record: RequestRecord, key: String, now: Int64) -> HTTPCall {
    let status = record.template.payment?.rawValue ?? ""
    let body = """
      {"idempotency_key":"\(key)","order_id":"\(record.orderID ?? "")","status":"\(status)",\
      "amount":\(record.amount ?? 0),"currency":"\(product.currency)"}
      """
    var call = HTTPCall(method: .POST, path: "/api/payments/webhook", body: ByteBuffer(string: body))
    if let secret {
      // All deliveries of an event have its id.
      let id = "msg_\(key)"
      call.headers = [
        ("webhook-id", id), ("webhook-timestamp", String(now)),
        ("webhook-signature", secret.signature(id: id, timestamp: now, body: Array(body.utf8))),
      ]
    }
    return call
  }
}
