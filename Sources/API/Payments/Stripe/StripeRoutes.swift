import Checkout
import FoundationEssentials
import Telemetry

/// `POST /api/payments/webhook/stripe`: the events of Stripe, as Stripe sends them.
struct StripeRoutes {
  let checkout: Checkout
  let verifier: StripeVerifier
  /// Logs refused events.
  let log: SparseLog

  /// The largest event, in bytes. A Checkout session with many line items or much metadata has more than 16 KiB.
  static let maximumBodyBytes = 256 * 1024

  var routes: [Route] {
    [Route(.POST, "/api/payments/webhook/stripe", maximumBodyBytes: Self.maximumBodyBytes, receive)]
  }

  @Sendable private func receive(_ request: Request) async throws -> Response {
    try request.bodyLabel.check()
    if let refusal = verifier.refusal(of: request) { throw Problem.invalidSignature(refusal, log: log) }
    guard let draft = try StripeEvent(from: request.body).draft, let orderID = try await orderID(of: draft) else {
      return Self.unrelated
    }
    let event = PaymentEvent(
      idempotencyKey: draft.idempotencyKey, orderID: orderID, status: draft.status, amount: draft.amount,
      currency: draft.currency, paymentKey: draft.paymentKey)
    return try WebhookRoutes.response(to: await checkout.applyPaymentEvent(event), orderID)
  }

  private func orderID(of draft: StripeEvent.Draft) async throws -> ReservationID? {
    if let named = draft.orderID { return named }
    guard let payment = draft.paymentKey else { return nil }
    return try await checkout.paymentOrder(key: payment)
  }

  /// With any other status, Stripe would repeat the event for days.
  private static var unrelated: Response { .json { $0.add("verdict", "unrelated") } }
}

extension StripeVerifier {
  fileprivate func refusal(of request: Request) -> Refusal? {
    refusal(
      signature: request.headers.value(ofLowercased: "stripe-signature", separator: ","),
      body: Array(request.body.readableBytesView), now: Int64(Date().timeIntervalSince1970))
  }
}
