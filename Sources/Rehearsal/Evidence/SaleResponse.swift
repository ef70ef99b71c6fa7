import API
import Time

/// The members of a response that the rehearsal uses. A missing member is nil.
package struct SaleResponse: Codable, Equatable, Sendable {
  package var status: Int
  /// The last segment of the problem's type.
  package var problem: String?
  /// Whether the response has `Idempotent-Replayed: true`.
  package var isReplay = false
  package var retryAfterSeconds: Int?
  package var holdID: String?
  package var orderID: String?
  package var quantity: Int?
  /// The status of the hold or order.
  package var state: String?
  package var verdict: String?
  package var orderStatus: String?
  package var amount: Int?
  package var expiresInSeconds: Int?
  package var paymentDueAt: String?
  package var createdAt: String?
  package var availableStock: Int?

  package init(status: Int) {
    self.status = status
  }

  /// - Parameter body: JSON. Other text, for example from a proxy, gives no members.
  init(status: Int, isReplay: Bool, retryAfterSeconds: Int?, body: [UInt8]) {
    self.status = status
    self.isReplay = isReplay
    self.retryAfterSeconds = retryAfterSeconds
    for (name, value) in JSONScalar.members(of: body) ?? [] {
      switch (name, value) {
      case ("type", .text(let type)) where status >= 400: problem = String(type.split(separator: "/").last ?? "")
      case ("hold_id", .text(let id)): holdID = id
      case ("order_id", .text(let id)): orderID = id
      // The status of a hold or order is a word, that of a problem is a number.
      case ("status", .text(let word)): state = word
      case ("verdict", .text(let word)): verdict = word
      case ("order_status", .text(let word)): orderStatus = word
      case ("payment_due_at", .text(let time)): paymentDueAt = time
      case ("created_at", .text(let time)): createdAt = time
      case ("quantity", .integer(let number)): quantity = number
      case ("amount", .integer(let number)): amount = number
      case ("expires_in_seconds", .integer(let number)): expiresInSeconds = number
      case ("available_stock", .integer(let number)): availableStock = number
      default: break
      }
    }
  }

  /// How long the order waits for its payment. Nil if the response is not an order.
  package var paymentWindow: Microseconds? {
    guard let due = paymentDueAt.flatMap({ Timestamp(rfc3339: $0) }),
      let created = createdAt.flatMap({ Timestamp(rfc3339: $0) })
    else { return nil }
    return due.microsecondsSince1970 - created.microsecondsSince1970
  }
}
