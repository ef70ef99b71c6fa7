import Checkout
import FoundationEssentials
import NIOCore

/// An event of Stripe (https://docs.stripe.com/api/events/object), and the payment event that it becomes.
///
/// Only the members that decide this are read. So the event may have any API version, and members that are new.
struct StripeEvent: Decodable {
  /// A payment event whose order may still have to be found.
  struct Draft: Equatable {
    let idempotencyKey: String
    /// The order that the object names. Refunds and disputes may name none: their order is that of their payment.
    let orderID: ReservationID?
    let status: PaymentEvent.Status
    var amount: Int64?
    var currency: String?
    /// The key of the payment that a refund or dispute is about.
    var paymentKey: String?
  }

  /// Nil if the event is unrelated to orders.
  let draft: Draft?

  /// The types of events that are related to orders. Stripe repeats each event, and reports most things twice.
  private enum Kind: String {
    case intentSucceeded = "payment_intent.succeeded"
    case intentFailed = "payment_intent.payment_failed"
    case intentCanceled = "payment_intent.canceled"
    case sessionCompleted = "checkout.session.completed"
    case sessionSucceeded = "checkout.session.async_payment_succeeded"
    case sessionFailed = "checkout.session.async_payment_failed"
    case sessionExpired = "checkout.session.expired"
    case chargeRefunded = "charge.refunded"
    case refundCreated = "refund.created"
    case refundUpdated = "refund.updated"
    case chargeRefundUpdated = "charge.refund.updated"
    case disputeCreated = "charge.dispute.created"
    case disputeClosed = "charge.dispute.closed"
  }

  private enum Member: CodingKey { case id, type, data }
  private enum DataMember: CodingKey { case object }

  /// - Throws: `DecodingError` if a member that is needed is missing or wrong.
  init(from decoder: any Decoder) throws {
    let event = try decoder.container(keyedBy: Member.self)
    guard let kind = Kind(rawValue: try event.decode(String.self, forKey: .type)) else {
      draft = nil
      return
    }
    let data = try event.nestedContainer(keyedBy: DataMember.self, forKey: .data)
    let object = StripeObject(
      members: try data.nestedContainer(keyedBy: StripeObject.Member.self, forKey: .object))
    draft =
      switch kind {
      case .intentSucceeded: try Self.success(of: object, payment: object.id, amount: .amountReceived)
      case .sessionCompleted, .sessionSucceeded: try Self.success(of: object)
      case .intentCanceled, .sessionFailed, .sessionExpired: try Self.failure(of: object)
      case .intentFailed: try Self.attempt(of: object, eventID: event.stripeID(.id))
      case .chargeRefunded: try Self.total(of: object)
      case .refundCreated, .refundUpdated, .chargeRefundUpdated: try Self.refund(of: object)
      case .disputeCreated: try Self.dispute(of: object, .disputeOpen, "open")
      case .disputeClosed: try Self.closedDispute(of: object)
      }
  }

  // MARK: Payments

  /// The key of a payment. `payment_intent.succeeded` and `checkout.session.completed` of one payment have the same key.
  ///
  /// Both must also have the same content, or the second one would be refused. `amount_received` of the PaymentIntent is
  /// `amount_total` of the session, with taxes, discounts and shipping. A session whose payment is captured later has the
  /// `payment_status` `unpaid`, so only the PaymentIntent reports what was captured.
  private static func paymentKey(_ payment: String) -> String { "stripe:\(payment):succeeded" }

  private static func success(
    of object: StripeObject, payment: String, amount: StripeObject.Member
  ) throws -> Draft? {
    guard let orderID = object.orderID else { return nil }
    return Draft(
      idempotencyKey: paymentKey(payment), orderID: orderID, status: .success, amount: try object.amount(amount),
      currency: try object.currency)
  }

  /// The success of a Checkout session.
  ///
  /// A session without a PaymentIntent has the session's own key. It starts a subscription, or nothing is to be paid.
  /// The second kind pays its order with the amount 0, so any other order shows it as an amount mismatch. A session that
  /// only saves a card has no amount.
  private static func success(of session: StripeObject) throws -> Draft? {
    guard let status = try session.text(.paymentStatus), status == "paid" || status == "no_payment_required",
      session.has(.amountTotal)
    else { return nil }
    return try success(of: session, payment: session.paymentIntent ?? session.id, amount: .amountTotal)
  }

  /// The end of a PaymentIntent or a session without a payment.
  ///
  /// It has no amount. So the key has the same content, whichever of the two objects reports the end.
  private static func failure(of object: StripeObject) throws -> Draft? {
    guard let orderID = object.orderID else { return nil }
    let payment = try object.paymentIntent ?? object.id
    return Draft(idempotencyKey: "stripe:\(payment):failed", orderID: orderID, status: .failed)
  }

  /// A declined card. The buyer may try another one, so each attempt has the key of its event.
  private static func attempt(of intent: StripeObject, eventID: String) throws -> Draft? {
    guard let orderID = intent.orderID else { return nil }
    return Draft(idempotencyKey: "stripe:\(eventID)", orderID: orderID, status: .attemptFailed)
  }

  // MARK: Refunds and disputes

  /// All refunds of a charge so far.
  private static func total(of charge: StripeObject) throws -> Draft? {
    guard let payment = try charge.paymentIntent else { return nil }
    let total = try charge.amount(.amountRefunded)
    return Draft(
      idempotencyKey: "stripe:\(try charge.id):refunded:\(total)", orderID: charge.orderID, status: .refundedTotal,
      amount: total, currency: try charge.currency, paymentKey: paymentKey(payment))
  }

  /// One refund. It counts when it has succeeded: some are pending for days, and may fail.
  private static func refund(of refund: StripeObject) throws -> Draft? {
    guard let payment = try refund.paymentIntent, try refund.text(.status) == "succeeded" else { return nil }
    return Draft(
      idempotencyKey: "stripe:\(try refund.id):refunded", orderID: refund.orderID, status: .refund,
      amount: try refund.amount(.amount), currency: try refund.currency, paymentKey: paymentKey(payment))
  }

  private static func dispute(
    of dispute: StripeObject, _ status: PaymentEvent.Status, _ word: String
  ) throws -> Draft? {
    guard let payment = try dispute.paymentIntent else { return nil }
    return Draft(
      idempotencyKey: "stripe:\(try dispute.id):\(word)", orderID: dispute.orderID, status: status,
      paymentKey: paymentKey(payment))
  }

  /// A dispute that ends before it takes money back is won.
  private static func closedDispute(of object: StripeObject) throws -> Draft? {
    switch try object.text(.status) {
    case "lost": try dispute(of: object, .disputeLost, "lost")
    case "won", "warning_closed", "prevented": try dispute(of: object, .disputeWon, "won")
    default: nil
    }
  }
}

extension StripeEvent {
  /// Reads the body of a request.
  ///
  /// `JSONSyntax` first checks it as every other body, because Foundation's decoder is more lenient.
  ///
  /// - Throws: `Problem.malformedRequest`.
  init(from body: ByteBuffer) throws {
    do {
      _ = try body.withUnsafeReadableBytes { try JSONSyntax.members(of: $0) }
      self = try JSONDecoder().decode(Self.self, from: Data(body.readableBytesView))
    } catch let violation as JSONSyntax.Violation {
      throw Problem.malformedRequest(violation)
    } catch let error as DecodingError {
      throw Problem(.malformedRequest, "The body is not an event of Stripe: \(error.place) is missing or wrong.")
    }
  }
}

extension DecodingError {
  /// The member that could not be read, such as `data.object.id`.
  fileprivate var place: String {
    let path: [any CodingKey] =
      switch self {
      case .keyNotFound(let key, let context): context.codingPath + [key]
      case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
        context.codingPath
      @unknown default: []
      }
    return path.isEmpty ? "a member" : path.map(\.stringValue).joined(separator: ".")
  }
}
