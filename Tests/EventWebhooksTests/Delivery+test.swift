import Foundation
import Secrets
import Time

@testable import Checkout
@testable import EventWebhooks

extension Delivery {
  static let testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

  /// A delivery as `claim_deliveries` returns it.
  static func test(
    to url: String, endpoint: UUID = UUID(), secrets: [String] = [testSecret], attempt: Int32 = 1,
    data: String = #"{"order_id":"order_1","version":1}"#
  ) -> Delivery {
    let event = UUID()
    let body =
      #"{"id":"\#(EventID(event).text)","type":"order.paid","timestamp":"2026-11-22T15:20:31.114Z","data":\#(data)}"#
    return Delivery(
      productID: 1, eventID: event, endpointID: endpoint, url: url, secrets: secrets.map { Secret($0) },
      attempt: attempt, body: body)
  }
}

extension DeliveryQueue.Item {
  static func test(_ delivery: Delivery, claimedAt: Moment = .now) -> DeliveryQueue.Item {
    DeliveryQueue.Item(delivery: delivery, leaseID: UUID(), claimedAt: claimedAt)
  }
}
