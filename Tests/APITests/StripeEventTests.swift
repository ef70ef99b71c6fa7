import Checkout
import NIOCore
import Testing

@testable import API

/// The payment event that each event of Stripe becomes. The bodies are made from Stripe's public API reference.
@Suite struct StripeEventTests {
  private static let order = "order_000000016b038082a7b67565b6762b58"
  private static let id = ReservationID(orderText: order)!
  private static let metadata = #""metadata":{"order_id":"\#(order)","cart":"7"}"#
  private static let payment = "stripe:pi_1:succeeded"

  private func draft(_ type: String, _ object: String) throws -> StripeEvent.Draft? {
    let body = """
      {"id":"evt_1","object":"event","api_version":"2026-03-25.dahlia","created":1614265330,"type":"\(type)",
       "data":{"object":{\(object)},"previous_attributes":{"status":1}},"pending_webhooks":1,"request":null}
      """
    return try StripeEvent(from: ByteBuffer(string: body)).draft
  }

  private func success(_ key: String = payment, amount: Int64 = 1999) -> StripeEvent.Draft {
    StripeEvent.Draft(idempotencyKey: key, orderID: Self.id, status: .success, amount: amount, currency: "EUR")
  }

  private func failure(_ key: String) -> StripeEvent.Draft {
    StripeEvent.Draft(idempotencyKey: key, orderID: Self.id, status: .failed)
  }

  private static let intent = #""id":"pi_1","amount":1999,"amount_received":1999,"currency":"eur","status":"succeeded""#
  private static let session =
    #""id":"cs_1","amount_total":1999,"currency":"eur","payment_intent":"pi_1","payment_status":"paid""#

  // MARK: Payments

  /// A key with another content would be refused.
  @Test func `the events of one payment are the same payment event`() throws {
    let expected = success()
    #expect(try draft("payment_intent.succeeded", "\(Self.intent),\(Self.metadata)") == expected)
    for type in ["checkout.session.completed", "checkout.session.async_payment_succeeded"] {
      #expect(try draft(type, "\(Self.session),\(Self.metadata)") == expected)
    }
    let reference = #""client_reference_id":"\#(Self.order)""#
    for metadata in [#""metadata":{}"#, #""metadata":null"#, #""metadata":[]"#, #""metadata":{"order_id":"A-17"}"#] {
      #expect(try draft("checkout.session.completed", "\(Self.session),\(metadata),\(reference)") == expected)
    }
    let expanded = Self.session.replacing(#""pi_1""#, with: #"{"id":"pi_1","object":"payment_intent","amount":5}"#)
    #expect(try draft("checkout.session.completed", "\(expanded),\(Self.metadata)") == expected)
  }

  @Test func `the amount is what was received, not what was asked for`() throws {
    let partial = Self.intent.replacing(#""amount_received":1999"#, with: #""amount_received":500"#)
    #expect(try draft("payment_intent.succeeded", "\(partial),\(Self.metadata)") == success(amount: 500))
  }

  /// Stripe's list of special cases. The orders have 1999 whole units, or 199,900 hundredths.
  @Test func `amounts are in minor units of ISO 4217, also where Stripe counts in others`() throws {
    for (currency, sent, amount) in [
      ("isk", 199_900, 1999), ("ugx", 199_900, 1999), ("mga", 1999, 199_900), ("jpy", 1999, 1999), ("kwd", 1990, 1990),
    ] as [(String, Int64, Int64)] {
      func inCurrency(_ object: String) -> String {
        object.replacing("1999", with: "\(sent)").replacing("eur", with: currency)
      }
      var expected = success(amount: amount)
      expected.currency = currency.uppercased()
      #expect(try draft("payment_intent.succeeded", inCurrency("\(Self.intent),\(Self.metadata)")) == expected)
      #expect(try draft("checkout.session.completed", inCurrency("\(Self.session),\(Self.metadata)")) == expected)
      #expect(StripeAmount.ofStripe(minorUnits: amount, currency.uppercased()) == sent)
    }
    // An amount that no order has must not be rounded to one that an order has.
    let parts = Self.intent.replacing("eur", with: "isk")
    #expect(throws: Problem.self) { try draft("payment_intent.succeeded", "\(parts),\(Self.metadata)") }
    #expect(StripeAmount.minorUnits(ofStripe: .max, "MGA") == nil)
    #expect(StripeAmount.ofStripe(minorUnits: 150, "MGA") == nil)
  }

  @Test func `a session that is not paid yet has no effect`() throws {
    let unpaid = Self.session.replacing(#""paid""#, with: #""unpaid""#)
    #expect(try draft("checkout.session.completed", "\(unpaid),\(Self.metadata)") == nil)
  }

  @Test func `a session without a PaymentIntent has a key of its own`() throws {
    let key = "stripe:cs_1:succeeded"
    let bare = Self.session.replacing(#""payment_intent":"pi_1""#, with: #""payment_intent":null"#)
    #expect(try draft("checkout.session.completed", "\(bare),\(Self.metadata)") == success(key))
    let free = bare.replacing(#""paid""#, with: #""no_payment_required""#).replacing("1999", with: "0")
    #expect(try draft("checkout.session.completed", "\(free),\(Self.metadata)") == success(key, amount: 0))
    // It saves a card for later.
    let setup = free.replacing(#""amount_total":0"#, with: #""amount_total":null"#)
    #expect(try draft("checkout.session.completed", "\(setup),\(Self.metadata)") == nil)
  }

  @Test func `the end of a payment is a failure, whatever its amount`() throws {
    let canceled = Self.intent.replacing("1999", with: "0")
    #expect(try draft("payment_intent.canceled", "\(canceled),\(Self.metadata)") == failure("stripe:pi_1:failed"))
    for type in ["checkout.session.expired", "checkout.session.async_payment_failed"] {
      #expect(try draft(type, "\(Self.session),\(Self.metadata)") == failure("stripe:pi_1:failed"))
      let bare = Self.session.replacing(#""payment_intent":"pi_1","#, with: "")
      #expect(try draft(type, "\(bare),\(Self.metadata)") == failure("stripe:cs_1:failed"))
    }
  }

  @Test func `each declined card is an attempt of its own`() throws {
    let expected = StripeEvent.Draft(idempotencyKey: "stripe:evt_1", orderID: Self.id, status: .attemptFailed)
    #expect(try draft("payment_intent.payment_failed", "\(Self.intent),\(Self.metadata)") == expected)
  }

  // MARK: Refunds and disputes

  private func refund(
    _ key: String, _ status: PaymentEvent.Status, amount: Int64?, order: ReservationID? = id
  ) -> StripeEvent.Draft {
    StripeEvent.Draft(
      idempotencyKey: key, orderID: order, status: status, amount: amount, currency: amount.map { _ in "EUR" },
      paymentKey: Self.payment)
  }

  @Test func `a refunded charge has the total of its refunds in its key`() throws {
    let charge = #""id":"ch_1","amount":1999,"amount_refunded":700,"currency":"eur","payment_intent":"pi_1""#
    let key = "stripe:ch_1:refunded:700"
    #expect(
      try draft("charge.refunded", "\(charge),\(Self.metadata)") == refund(key, .refundedTotal, amount: 700))
    #expect(try draft("charge.refunded", charge) == refund(key, .refundedTotal, amount: 700, order: nil))
    let old = charge.replacing(#""pi_1""#, with: "null")
    #expect(try draft("charge.refunded", "\(old),\(Self.metadata)") == nil)
  }

  @Test func `a refund counts once it has succeeded, in whichever event`() throws {
    let object = #""id":"re_1","amount":700,"currency":"eur","payment_intent":"pi_1","charge":"ch_1""#
    for type in ["refund.created", "refund.updated", "charge.refund.updated"] {
      for status in ["pending", "requires_action", "failed", "canceled"] {
        #expect(try draft(type, #"\#(object),"status":"\#(status)",\#(Self.metadata)"#) == nil)
      }
      let done = #"\#(object),"status":"succeeded""#
      let key = "stripe:re_1:refunded"
      #expect(try draft(type, "\(done),\(Self.metadata)") == refund(key, .refund, amount: 700))
      // The shop has numbers of its own, so the order is that of the payment.
      let foreign = #""metadata":{"order_id":"A-17"}"#
      #expect(try draft(type, "\(done),\(foreign)") == refund(key, .refund, amount: 700, order: nil))
    }
    #expect(try draft("refund.failed", #"\#(object),"status":"failed",\#(Self.metadata)"#) == nil)
  }

  @Test(arguments: [
    ("charge.dispute.created", "needs_response", PaymentEvent.Status.disputeOpen, "open"),
    ("charge.dispute.created", "warning_needs_response", .disputeOpen, "open"),
    ("charge.dispute.closed", "lost", .disputeLost, "lost"), ("charge.dispute.closed", "won", .disputeWon, "won"),
    ("charge.dispute.closed", "warning_closed", .disputeWon, "won"),
    ("charge.dispute.closed", "prevented", .disputeWon, "won"),
  ])
  func `a dispute opens, and is won or lost`(
    type: String, word: String, status: PaymentEvent.Status, end: String
  ) throws {
    let object = #""id":"dp_1","amount":-5,"currency":null,"payment_intent":"pi_1","status":"\#(word)","metadata":{}"#
    #expect(try draft(type, object) == refund("stripe:dp_1:\(end)", status, amount: nil, order: nil))
    #expect(try draft(type, object.replacing(#""pi_1""#, with: "null")) == nil)
  }

  @Test func `a closed dispute with another status has no effect`() throws {
    #expect(try draft("charge.dispute.closed", #""id":"dp_1","payment_intent":"pi_1","status":"new""#) == nil)
  }

  // MARK: Unrelated and malformed events

  /// Another part of the shop may use the same account.
  @Test func `payments without an order, and other types, are unrelated`() throws {
    for metadata in ["", #","metadata":{}"#, #","metadata":{"order_id":"1"}"#, #","metadata":{"order_id":7}"#] {
      #expect(try draft("payment_intent.succeeded", Self.intent + metadata) == nil)
      #expect(try draft("checkout.session.completed", Self.session + metadata) == nil)
      #expect(try draft("payment_intent.canceled", Self.intent + metadata) == nil)
      #expect(try draft("payment_intent.payment_failed", Self.intent + metadata) == nil)
    }
    // Nothing of these is read, so nothing can be wrong.
    for type in ["customer.created", "payment_intent.created", "charge.succeeded", "checkout.session", ""] {
      #expect(try draft(type, #""id":7,"amount":"much","payment_intent":[],\#(Self.metadata)"#) == nil)
    }
    let thin = #"{"id":"evt_1","object":"v2.core.event","type":"v2.core.account.updated"}"#
    #expect(try StripeEvent(from: ByteBuffer(string: thin)).draft == nil)
  }

  @Test(arguments: [
    ("payment_intent.succeeded", #""id":"pi_1","currency":"eur""#, "amount_received"),
    ("payment_intent.succeeded", #""id":"pi_1","amount_received":-1,"currency":"eur""#, "amount_received"),
    ("payment_intent.succeeded", #""id":"pi_1","amount_received":"5","currency":"eur""#, "amount_received"),
    ("payment_intent.succeeded", #""id":"pi_1","amount_received":5,"currency":"euro""#, "currency"),
    ("payment_intent.succeeded", #""id":"pi:1","amount_received":5,"currency":"eur""#, "id"),
    ("payment_intent.succeeded", #""id":"","amount_received":5,"currency":"eur""#, "id"),
    ("payment_intent.canceled", #""amount":5"#, "id"),
    ("charge.refunded", #""id":"ch_1","amount_refunded":5,"currency":"eur","payment_intent":7"#, "payment_intent"),
    ("charge.refunded", #""id":"ch_1","amount_refunded":5,"currency":"eur","payment_intent":{}"#, "id"),
  ])
  func `an event that lacks what its payment event needs is malformed`(
    type: String, object: String, member: String
  ) throws {
    let problem = try #require(throws: Problem.self) { try draft(type, "\(object),\(Self.metadata)") }
    #expect(problem.kind == .malformedRequest && problem.detail.contains("data.object"), "\(problem.detail)")
    #expect(problem.detail.contains(member), "\(problem.detail)")
  }

  @Test(arguments: [
    "", "{", "[]", "null", "{}", #"{"type":7}"#, #"{"type":"payment_intent.succeeded"}"#,
    #"{"type":"payment_intent.succeeded","data":{}}"#, #"{"type":"payment_intent.succeeded","data":{"object":"pi_1"}}"#,
    #"{"type":"x","data":\#(String(repeating: "[", count: 32))\#(String(repeating: "]", count: 32))}"#,
    #"{"type":"x","type":"y"}"#, #"{"type":"\ud800"}"#, #"{"type":"x",}"#,
  ])
  func `a body that is no event is malformed`(body: String) {
    let problem = #expect(throws: Problem.self) { try StripeEvent(from: ByteBuffer(string: body)) }
    #expect(problem?.kind == .malformedRequest)
  }

  @Test func `a body that is not UTF-8 is malformed`() {
    let body = Array(#"{"type":"x","id":""#.utf8) + [0xFF] + Array(#""}"#.utf8)
    #expect(throws: Problem.self) { try StripeEvent(from: ByteBuffer(bytes: body)) }
  }
}
