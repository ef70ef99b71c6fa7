/// A request without the ids that the server chooses.
package struct RequestTemplate: Codable, Hashable, Sendable {
  package enum Kind: String, Codable, CaseIterable, Sendable {
    case hold, order, release, payment
  }

  package enum PaymentStatus: String, Codable, Sendable {
    case success, failed
  }

  package var kind: Kind
  /// The planned part of the idempotency key. Nil for a release, which has no key.
  package var key: String?
  /// The number of this copy among the requests with the same key, from 0.
  package var copy = 0
  /// Units. Only for a hold.
  package var quantity: Int?
  /// Only for a payment event.
  package var payment: PaymentStatus?

  package static let release = RequestTemplate(kind: .release)

  /// The request line, key and body. Braces mark what is known only during the run.
  package var description: String {
    let key = key ?? ""
    return switch kind {
    case .hold: #"POST /api/holds key \#(key) {"product_id":{product},"quantity":\#(quantity ?? 0)}"#
    case .order: #"POST /api/orders key \#(key) {"hold_id":{hold}}"#
    case .release: "DELETE /api/holds/{hold}"
    case .payment:
      #"POST /api/payments/webhook key \#(key) {"order_id":{order},"status":"\#(payment?.rawValue ?? "")"}"#
    }
  }
}
