import API
import Foundation
import StandardWebhooks

/// One message of a payment provider, without its signature.
struct ProviderMessage: Sendable {
  /// What signs the message, with the header fields of its scheme.
  enum Signer {
    case standardWebhooks(WebhookSecret)
    case stripe(StripeSecret)
  }

  let path: String
  let body: Data
  /// Deliveries of the same message have the same id. The idempotency key may have characters that a header cannot carry.
  let id = "msg_" + UUID().uuidString.lowercased()
  /// With nil, the message is unsigned.
  let signer: Signer?

  /// The header fields of a delivery at this time.
  ///
  /// - Parameter timestamp: in Unix seconds.
  func headers(at timestamp: Int64) -> [(name: String, value: String)] {
    switch signer {
    case .standardWebhooks(let secret): WebhookSigner([secret]).headers(id: id, timestamp: timestamp, body: body)
    case .stripe(let secret): [("stripe-signature", secret.header(timestamp: timestamp, body: body))]
    case nil: []
    }
  }
}

/// A payment of an order, as the plain webhook describes it.
struct PlainPayment: Encodable {
  let idempotencyKey: String
  let orderID: String
  let status: String
  let amount: Int64?
  let currency: String?

  enum CodingKeys: String, CodingKey {
    case idempotencyKey = "idempotency_key"
    case orderID = "order_id"
    case status, amount, currency
  }
}
