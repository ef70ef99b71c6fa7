/// All decisions of one buyer, made before the run.
package struct BuyerPlan: Codable, Equatable, Sendable {
  package enum Behaviour: String, Codable, CaseIterable, Sendable {
    /// Holds units, and lets the hold lapse.
    case abandons
    /// Holds units, and releases the hold.
    case releases
    /// Orders, and pays.
    case pays
    /// Orders. The payment fails.
    case fails
    /// Orders. The payment fails, and a second one succeeds.
    case failsThenPays = "fails_then_pays"
    /// Pays before ordering.
    case paysEarly = "pays_early"
    /// Orders, and pays after the order has expired.
    case paysLate = "pays_late"
  }

  /// Buyers are numbered in the order of their arrival, from 0.
  package var number: Int
  package var arrival: Microseconds
  package var quantity: Int
  package var behaviour: Behaviour
  package var isBot: Bool
  /// How often a bot asks again after a refusal.
  package var retries: Int
  package var retryDelay: Microseconds
  /// Copies of each request for a hold or an order under one key. A buyer who clicks twice sends two.
  package var clicks: Int
  /// Deliveries of each payment event.
  package var deliveries: Int
  package var thinkBeforeOrder: Microseconds
  package var thinkBeforePayment: Microseconds
  /// The planned parts of the idempotency keys.
  package var holdKey: String
  package var orderKey: String
  /// One key for each payment event of the buyer. Payment providers make these.
  package var paymentKeys: [String]

  /// The requests of this buyer in their order, if the server refuses none.
  package var requests: [RequestTemplate] {
    let order = copies(.order)
    switch behaviour {
    case .abandons: return copies(.hold)
    case .releases: return copies(.hold) + [.release]
    case .pays, .paysLate: return copies(.hold) + order + payments(.success)
    case .fails: return copies(.hold) + order + payments(.failed)
    case .failsThenPays: return copies(.hold) + order + payments(.failed) + payments(.success, number: 1)
    case .paysEarly: return copies(.hold) + payments(.success) + order
    }
  }

  func copies(_ kind: RequestTemplate.Kind) -> [RequestTemplate] {
    let key = kind == .hold ? holdKey : orderKey
    return (0..<clicks).map {
      RequestTemplate(kind: kind, key: key, copy: $0, quantity: kind == .hold ? quantity : nil)
    }
  }

  /// The deliveries of a payment event.
  ///
  /// - Parameter number: the index of its key in `paymentKeys`.
  func payments(_ status: RequestTemplate.PaymentStatus, number: Int = 0) -> [RequestTemplate] {
    (0..<deliveries).map {
      RequestTemplate(kind: .payment, key: paymentKeys[number], copy: $0, payment: status)
    }
  }
}
