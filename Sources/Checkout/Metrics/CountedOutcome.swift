import Telemetry

/// An outcome of a use case that metrics count. The word is its spelling in SQL and metrics.
protocol CountedOutcome: Sendable {
  var word: String { get }
  /// All words, so that each one is exported before its first count.
  static var words: [String] { get }
}

/// The word for a call that threw an error.
let failedOutcome = "failed"

extension CheckoutMetrics {
  /// Wraps a completion, so that the outcome is counted first.
  ///
  /// - Parameter counter: nil counts nothing.
  static func counting<Outcome: CountedOutcome>(
    _ counter: CounterByLabel?, _ completion: @escaping Completion<Outcome>
  ) -> Completion<Outcome> {
    guard let counter else { return completion }
    return { result in
      counter.increment((try? result.get().word) ?? failedOutcome)
      completion(result)
    }
  }
}

extension ReserveHold.Outcome: CountedOutcome {
  var word: String {
    switch self {
    case .held(_, isReplay: true): "replayed"
    case .held(_, isReplay: false): "held"
    case .insufficientStock: "insufficient_stock"
    case .saleNotStarted: "sale_not_started"
    case .salePaused: "sale_paused"
    case .saleEnded: "sale_ended"
    case .quantityAboveLimit: "quantity_above_limit"
    case .customerRequired: "customer_required"
    case .customerLimitReached: "customer_limit_reached"
    case .keyReused: "key_reused"
    case .productNotFound: "product_not_found"
    }
  }

  static let words = [
    "held", "replayed", "insufficient_stock", "sale_not_started", "sale_paused", "sale_ended",
    "quantity_above_limit", "customer_required", "customer_limit_reached", "key_reused", "product_not_found",
    failedOutcome,
  ]
}

extension PlaceOrder.Outcome: CountedOutcome {
  var word: String {
    switch self {
    case .placed(_, isReplay: true): "replayed"
    case .placed(_, isReplay: false): "placed"
    case .holdNotFound: "hold_not_found"
    case .alreadyOrdered: "already_ordered"
    case .holdExpired: "hold_expired"
    case .holdReleased: "hold_released"
    case .keyReused: "key_reused"
    }
  }

  static let words = [
    "placed", "replayed", "hold_not_found", "already_ordered", "hold_expired", "hold_released", "key_reused",
    failedOutcome,
  ]
}

extension ApplyPaymentEvent.Outcome: CountedOutcome {
  var word: String {
    switch self {
    case .decided(_, _, isReplay: true): "replayed"
    case .decided(let verdict, _, isReplay: false): verdict.rawValue
    case .keyReused: "key_reused"
    }
  }

  static let words = [
    "applied", "parked", "reacquired", "refund_due", "amount_mismatch", "ignored", "attempt_failed", "settled",
    "replayed", "key_reused", failedOutcome,
  ]
}

extension RefundOrder.Outcome: CountedOutcome {
  var word: String {
    switch self {
    case .refunded(_, isReplay: true): "replayed"
    case .refunded(_, isReplay: false): "refunded"
    case .keyReused: "key_reused"
    case .orderNotFound: "order_not_found"
    case .orderNotPaid: "order_not_paid"
    case .refundTooLarge: "refund_too_large"
    }
  }

  static let words = [
    "refunded", "replayed", "key_reused", "order_not_found", "order_not_paid", "refund_too_large", failedOutcome,
  ]
}
