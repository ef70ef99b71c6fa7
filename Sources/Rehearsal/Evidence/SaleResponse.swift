import API
import Foundation
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

  /// The members of a body.
  private struct Body: Decodable {
    var type: String?
    var hold_id: String?
    var order_id: String?
    var quantity: Int?
    var status: Status?
    var verdict: String?
    var order_status: String?
    var amount: Int?
    var expires_in_seconds: Int?
    var payment_due_at: String?
    var created_at: String?
    var available_stock: Int?

    /// A problem's status is a number. The status of a hold or order is a word.
    enum Status: Decodable {
      case word(String)
      case number

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = (try? container.decode(String.self)).map { .word($0) } ?? .number
      }
    }
  }

  /// - Parameter body: JSON. Other text, for example from a proxy, gives no members.
  init(status: Int, isReplay: Bool, retryAfterSeconds: Int?, body: [UInt8], decoder: JSONDecoder) {
    self.status = status
    self.isReplay = isReplay
    self.retryAfterSeconds = retryAfterSeconds
    guard let body = try? decoder.decode(Body.self, from: Data(body)) else { return }
    problem = status < 400 ? nil : body.type.map { String($0.split(separator: "/").last ?? "") }
    holdID = body.hold_id
    orderID = body.order_id
    quantity = body.quantity
    if case .word(let word) = body.status { state = word }
    verdict = body.verdict
    orderStatus = body.order_status
    amount = body.amount
    expiresInSeconds = body.expires_in_seconds
    paymentDueAt = body.payment_due_at
    createdAt = body.created_at
    availableStock = body.available_stock
  }

  /// How long the order waits for its payment. Nil if the response is not an order.
  package var paymentWindow: Microseconds? {
    guard let due = paymentDueAt.flatMap({ Timestamp(rfc3339: $0) }),
      let created = createdAt.flatMap({ Timestamp(rfc3339: $0) })
    else { return nil }
    return due.microsecondsSince1970 - created.microsecondsSince1970
  }
}
