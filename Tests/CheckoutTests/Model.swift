@testable import Checkout

/// What the contract says the checkout does, without time, batches or a database: small enough to be seen to be right.
struct Model {
  struct HoldState {
    let product: Int
    let quantity: Int32
    var status = Hold.Status.active
    /// Its time has run out; what has not been expired yet is expired by whoever meets it.
    var isLapsed = false
  }

  struct OrderState {
    var status = Order.Status.pendingPayment
    var isOverdue = false
  }

  struct Event: Equatable {
    let hold: Int
    let status: PaymentEvent.Status
    let amount: Int64?
    var verdict: PaymentEvent.Verdict = .parked
    var orderStatus: Order.Status?
  }

  static let price: Int64 = 100

  let totals: [Int32]
  var holds: [HoldState] = []
  /// By the index of their hold.
  var orders: [Int: OrderState] = [:]
  /// By idempotency key, in the order in which they came.
  var events: [(key: String, event: Event)] = []

  init(totals: [Int32]) {
    self.totals = totals
  }

  /// Total stock less what is in active holds whose time has not run out and in live orders.
  func available(_ product: Int) -> Int32 {
    var available = totals[product]
    for (index, hold) in holds.enumerated() where hold.product == product {
      if hold.status == .active, !hold.isLapsed { available -= hold.quantity }
      if let order = orders[index], [.pendingPayment, .paid].contains(order.status) { available -= hold.quantity }
    }
    return available
  }

  func visibleStatus(_ index: Int) -> Hold.Status {
    holds[index].status == .active && holds[index].isLapsed ? .expired : holds[index].status
  }

  mutating func reserve(_ product: Int, _ quantity: Int32) -> Bool {
    guard available(product) >= quantity else { return false }
    holds.append(HoldState(product: product, quantity: quantity))
    return true
  }

  /// - Returns: the hold's status afterwards.
  mutating func release(_ index: Int) -> Hold.Status {
    if visibleStatus(index) == .active { holds[index].status = .released }
    return visibleStatus(index)
  }

  /// - Returns: the hold's status before, `active` when the order was placed.
  mutating func place(_ index: Int) -> Hold.Status {
    let status = visibleStatus(index)
    guard status == .active else { return status }
    holds[index].status = .ordered
    orders[index] = OrderState()
    for position in events.indices
    where events[position].event.hold == index && events[position].event.verdict == .parked {
      var event = events[position].event
      settle(&event)
      events[position].event = event
    }
    return .active
  }

  enum Payment: Equatable {
    case settled(PaymentEvent.Verdict, Order.Status?, isReplay: Bool)
    case keyReused
  }

  mutating func pay(_ index: Int, _ status: PaymentEvent.Status, amount: Int64?, key: String) -> Payment {
    if let known = events.first(where: { $0.key == key })?.event {
      guard known.hold == index, known.status == status, known.amount == amount else { return .keyReused }
      return .settled(known.verdict, known.orderStatus, isReplay: true)
    }
    var event = Event(hold: index, status: status, amount: amount)
    settle(&event)
    events.append((key, event))
    return .settled(event.verdict, event.orderStatus, isReplay: false)
  }

  /// An operator says that the money was given back.
  ///
  /// - Returns: whether it was due.
  mutating func settle(_ key: String) -> Bool? {
    guard let position = events.firstIndex(where: { $0.key == key }) else { return nil }
    let event = events[position].event
    guard event.status == .success, [.parked, .refundDue, .amountMismatch].contains(event.verdict) else { return false }
    if event.verdict == .parked { events[position].event.verdict = .refundDue }
    return true
  }

  /// Retention meets an event that is a month old.
  mutating func retire(_ key: String) {
    guard let position = events.firstIndex(where: { $0.key == key }) else { return }
    guard events[position].event.verdict == .parked else { return }
    if events[position].event.status == .success {
      events[position].event.verdict = .refundDue
    } else {
      events.remove(at: position)
    }
  }

  private mutating func settle(_ event: inout Event) {
    guard let order = orders[event.hold] else { return }
    let hold = holds[event.hold]
    if let amount = event.amount, amount != Int64(hold.quantity) * Self.price {
      event.verdict = .amountMismatch
    } else {
      switch (event.status, order.status) {
      case (.failed, .pendingPayment):
        orders[event.hold]!.status = .cancelled
        event.verdict = .applied
      case (.failed, _): event.verdict = .ignored
      case (.success, .pendingPayment):
        orders[event.hold]!.status = .paid
        event.verdict = .applied
      case (.success, .paid): event.verdict = .refundDue
      case (.success, .cancelled), (.success, .expired):
        if available(hold.product) >= hold.quantity {
          orders[event.hold]!.status = .paid
          event.verdict = .reacquired
        } else {
          event.verdict = .refundDue
        }
      }
    }
    event.orderStatus = orders[event.hold]!.status
  }

  /// What a worker does.
  mutating func expire() {
    for index in holds.indices where holds[index].isLapsed && holds[index].status == .active {
      holds[index].status = .expired
    }
    for (index, order) in orders where order.isOverdue && order.status == .pendingPayment {
      orders[index]!.status = .expired
    }
  }
}
