import Checkout

/// The object of an event: a PaymentIntent, a Checkout session, a charge, a refund or a dispute.
///
/// Members are read when they are needed. Another member of another type is then no error.
struct StripeObject {
  enum Member: String, CodingKey {
    case id, amount, currency, metadata, status
    case amountReceived = "amount_received"
    case amountRefunded = "amount_refunded"
    case amountTotal = "amount_total"
    case clientReferenceID = "client_reference_id"
    case paymentIntent = "payment_intent"
    case paymentStatus = "payment_status"
  }

  private enum MetadataMember: String, CodingKey { case orderID = "order_id" }
  private enum ExpandedMember: CodingKey { case id }

  let members: KeyedDecodingContainer<Member>

  // The methods and properties that throw, throw `DecodingError`.

  var id: String { get throws { try members.stripeID(.id) } }

  /// The id of the PaymentIntent. An event has the id, or the whole object if the account's API version expands it. Nil
  /// if the object has no PaymentIntent.
  var paymentIntent: String? {
    get throws {
      guard has(.paymentIntent) else { return nil }
      guard let expanded = try? members.nestedContainer(keyedBy: ExpandedMember.self, forKey: .paymentIntent) else {
        return try members.stripeID(.paymentIntent)
      }
      return try expanded.stripeID(.id)
    }
  }

  /// The order that the object names: in its metadata, or for a Checkout session in `client_reference_id`. Nil if neither
  /// is the id of an order; a shop may have ids of its own there.
  var orderID: ReservationID? {
    let metadata = try? members.nestedContainer(keyedBy: MetadataMember.self, forKey: .metadata)
    let named = try? metadata?.decode(String.self, forKey: .orderID)
    let referenced = try? members.decode(String.self, forKey: .clientReferenceID)
    return named.flatMap { ReservationID(orderText: $0) } ?? referenced.flatMap { ReservationID(orderText: $0) }
  }

  /// In minor units of `currency`.
  func amount(_ name: Member) throws -> Int64 {
    guard let amount = StripeAmount.minorUnits(ofStripe: try members.decode(Int64.self, forKey: name), try currency),
      amount >= 0
    else { throw wrong(name) }
    return amount
  }

  /// ISO 4217. Stripe writes it in lower case.
  var currency: String {
    get throws {
      guard let code = try members.decode(String.self, forKey: .currency).uppercasedCurrency else {
        throw wrong(.currency)
      }
      return code
    }
  }

  func text(_ name: Member) throws -> String? { try members.decodeIfPresent(String.self, forKey: name) }

  /// Whether the member is present and not null.
  func has(_ name: Member) -> Bool { members.contains(name) && (try? members.decodeNil(forKey: name)) == false }

  private func wrong(_ name: Member) -> DecodingError {
    .dataCorruptedError(forKey: name, in: members, debugDescription: "it is out of range")
  }
}

extension KeyedDecodingContainer {
  /// The id of an object or event of Stripe.
  ///
  /// The keys of payment events contain it. So it has 1 to 200 unreserved characters of a URI, which `:` is not.
  ///
  /// - Throws: `DecodingError`.
  func stripeID(_ name: Key) throws -> String {
    let id = try decode(String.self, forKey: name)
    guard 1...200 ~= id.utf8.count, id.utf8.allSatisfy(\.isUnreserved) else {
      throw DecodingError.dataCorruptedError(forKey: name, in: self, debugDescription: "it is no id")
    }
    return id
  }
}
