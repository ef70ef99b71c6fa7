/// What an event tells.
package enum EventType: String, Sendable, CaseIterable {
  case orderPlaced = "order.placed"
  case orderPaid = "order.paid"
  case orderCancelled = "order.cancelled"
  case orderExpired = "order.expired"
  case orderRefunded = "order.refunded"
  case orderDisputed = "order.disputed"
  case refundDue = "refund.due"
  case paymentMismatched = "payment.mismatched"
  case productSoldOut = "product.sold_out"
  case productRestocked = "product.restocked"
  case productPaused = "product.paused"
  case holdPlaced = "hold.placed"
  case holdReleased = "hold.released"
  case holdExpired = "hold.expired"

  /// The bit of the type in `wanted_events`, as `event_bit` has it. The order of the cases never changes.
  package var bit: Int32 { 1 << Int32(Self.allCases.firstIndex(of: self)!) }

  /// The word before the dot.
  var object: Substring { rawValue.prefix { $0 != "." } }

  /// The type of the event that `Checkout.testEndpoint` sends. No endpoint can subscribe to it.
  package static let test = "endpoint.test"
}

/// Types of events as an operator names them: a type, all types of an object as in `order.*`, or `*`.
package struct EventPattern: Sendable, Hashable {
  package let text: String
  package let types: [EventType]

  /// Nil when the text names no type.
  package init?(text: String) {
    types = EventType.allCases.filter { type in
      switch text {
      // A hold is many events, so only those receive them who name them.
      case "*": type.object != "hold"
      case "\(type.object).*", type.rawValue: true
      default: false
      }
    }
    if types.isEmpty { return nil }
    self.text = text
  }
}
