import FoundationEssentials
import Secrets

/// A delivery of an event that this server has leased.
package struct Delivery: Sendable {
  package let productID: Int32
  package let eventID: UUID
  package let endpointID: UUID
  package let url: String
  /// The current one first, then for 24 hours after its rotation the previous one. Each is `whsec_` and base64.
  package let secrets: [Secret]
  /// From 1.
  package let attempt: Int32
  /// The JSON to send.
  package let body: String

  /// The `webhook-id`.
  package var id: String { EventID(eventID).text }
}

/// The result of a delivery. SQL decides what follows from it.
package struct DeliveryResult: Sendable {
  package let productID: Int32
  package let eventID: UUID
  package let endpointID: UUID
  /// The status of the response. Nil without a response.
  package let statusCode: Int32?
  /// Why there was no response. At most 500 characters are stored.
  package let error: String?
  /// The endpoint asks for no earlier attempt. At most 24 hours count.
  package let retryAfter: Duration?

  package init(of delivery: Delivery, statusCode: Int32?, error: String? = nil, retryAfter: Duration? = nil) {
    productID = delivery.productID
    eventID = delivery.eventID
    endpointID = delivery.endpointID
    self.statusCode = statusCode
    self.error = error
    self.retryAfter = retryAfter
  }
}
