/// What the server said after the sale, when no buyer was active any more.
package struct FinalReadings: Codable, Sendable {
  package struct Stock: Codable, Sendable {
    package var sent: Microseconds
    package var ended: Microseconds
    package var total: Int
    package var available: Int

    package init(sent: Microseconds, ended: Microseconds, total: Int, available: Int) {
      self.sent = sent
      self.ended = ended
      self.total = total
      self.available = available
    }
  }

  /// A hold or an order.
  package struct Item: Codable, Sendable {
    package var id: String
    package var sent: Microseconds
    package var ended: Microseconds
    /// Nil if no response became known.
    package var status: Int?
    package var state: String?
    package var quantity: Int?
    package var amount: Int?

    package init(
      id: String, sent: Microseconds = 0, ended: Microseconds = 0, status: Int?, state: String? = nil,
      quantity: Int? = nil, amount: Int? = nil
    ) {
      self.id = id
      self.sent = sent
      self.ended = ended
      self.status = status
      self.state = state
      self.quantity = quantity
      self.amount = amount
    }
  }

  /// A recorded payment event.
  package struct Event: Codable, Sendable {
    package var key: String
    package var orderID: String
    package var status: String
    package var verdict: String

    package init(key: String, orderID: String, status: String, verdict: String) {
      self.key = key
      self.orderID = orderID
      self.status = status
      self.verdict = verdict
    }
  }

  package struct Invariant: Codable, Sendable {
    package var name: String
    package var description: String
    package var ok: Bool
    package var violations: Int

    package init(name: String, description: String, ok: Bool, violations: Int) {
      self.name = name
      self.description = description
      self.ok = ok
      self.violations = violations
    }
  }

  /// The stock before and after the holds and orders were read. Nil if it could not be read.
  package var stockBefore: Stock?
  package var stockAfter: Stock?
  package var holds: [Item] = []
  package var orders: [Item] = []
  package var events: [Event] = []
  /// The orders whose payment events could not be read.
  package var ordersWithoutEvents: [String] = []
  /// Nil if the invariants could not be read.
  package var invariants: [Invariant]?

  package init() {}

  /// The units that the holds and orders take from the stock.
  ///
  /// A hold that was ordered counts with its order.
  package var committedUnits: Int {
    let held = holds.filter { $0.state == "active" }
    let ordered = orders.filter { $0.state.map(Self.keepsUnits) ?? false }
    return (held + ordered).reduce(0) { $0 + ($1.quantity ?? 0) }
  }

  /// Whether an order in this state keeps its units.
  static func keepsUnits(_ state: String) -> Bool { ["pending_payment", "paid"].contains(state) }
}
