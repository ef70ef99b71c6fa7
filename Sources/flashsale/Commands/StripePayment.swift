import Foundation

/// A payment at Stripe, and the events that Stripe sends about it (https://docs.stripe.com/api/events/types).
///
/// The events have only the members that describe a payment.
struct StripePayment {
  /// The id of the PaymentIntent.
  let intent: String
  let orderID: String
  /// As Stripe counts it: see `StripeAmount`.
  let amount: Int64
  let currency: String

  /// The id that `pay` gives to the PaymentIntent of an order. So a refund finds the payment of its order.
  static func intent(ofOrder orderID: String) -> String {
    "pi_" + (orderID.hasPrefix("order_") ? String(orderID.dropFirst("order_".count)) : orderID)
  }

  /// A Checkout session that is paid has two events.
  func succeeded() throws -> [Data] {
    let session: [String: Any] = [
      "amount_total": amount, "payment_status": "paid", "mode": "payment", "payment_intent": intent,
      "client_reference_id": orderID,
    ]
    return [
      try event("payment_intent.succeeded", "payment_intent", intent, "succeeded", ["amount_received": amount]),
      try event("checkout.session.completed", "checkout.session", id("cs_test"), "complete", session),
    ]
  }

  func failed() throws -> [Data] {
    [try event("payment_intent.canceled", "payment_intent", intent, "canceled", ["amount_received": 0])]
  }

  /// The amount is the sum of all refunds so far.
  func refunded() throws -> [Data] {
    let refunds: [String: Any] = ["amount_refunded": amount, "payment_intent": intent]
    return [try event("charge.refunded", "charge", id("ch"), "succeeded", refunds)]
  }

  /// The id of another object of this payment.
  private func id(_ prefix: String) -> String {
    prefix + "_" + (intent.hasPrefix("pi_") ? String(intent.dropFirst("pi_".count)) : intent)
  }

  /// - Parameter members: what the object has besides the members of all objects.
  private func event(
    _ type: String, _ object: String, _ id: String, _ status: String, _ members: [String: Any]
  ) throws -> Data {
    let common: [String: Any] = [
      "id": id, "object": object, "status": status, "currency": currency.lowercased(), "livemode": false,
      "metadata": ["order_id": orderID],
    ]
    let event: [String: Any] = [
      "id": "evt_" + UUID().uuidString.lowercased(), "object": "event", "type": type, "livemode": false,
      "created": Int64(Date().timeIntervalSince1970), "data": ["object": common.merging(members) { $1 }],
    ]
    return try JSONSerialization.data(withJSONObject: event)
  }
}
