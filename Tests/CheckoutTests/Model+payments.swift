@testable import Checkout

/// Payments, refunds and disputes.
extension Model {
  struct Message {
    let hold: Int
    let status: PaymentEvent.Status
    let amount: Int64?
    let key: String
    let paymentKey: String?
  }

  enum Payment: Equatable {
    case decided(PaymentEvent.Verdict, Order.Status?, isReplay: Bool)
    case keyReused
  }

  /// Events of one batch. Payments are decided first, then refunds and disputes.
  mutating func pay(_ messages: [Message]) -> [Payment] {
    var keys: Set<String> = []
    let answers = messages.map { message -> (Message, isReplay: Bool)? in
      var event = Event(
        hold: message.hold, status: message.status, amount: message.amount, paymentKey: message.paymentKey)
      if let known = events.first(where: { $0.key == message.key })?.event {
        let isSame =
          (known.hold, known.status, known.amount, known.paymentKey)
          == (event.hold, event.status, event.amount, event.paymentKey)
        return isSame ? (message, isReplay: true) : nil
      }
      decide(&event)
      events.append((message.key, event))
      keys.formUnion([message.key, message.paymentKey].compactMap(\.self))
      return (message, isReplay: false)
    }
    decideRefunds(ofPayments: keys)
    return answers.map { answer in
      guard let (message, isReplay) = answer, let event = events.first(where: { $0.key == message.key })?.event else {
        return .keyReused
      }
      return .decided(event.verdict, event.orderStatus, isReplay: isReplay)
    }
  }

  /// An operator records that the money was refunded.
  ///
  /// - Returns: whether a refund was due; nil when no event has the key.
  mutating func settle(_ key: String) -> Bool? {
    guard let position = events.firstIndex(where: { $0.key == key }) else { return nil }
    let event = events[position].event
    guard event.status == .success, [.parked, .refundDue, .amountMismatch].contains(event.verdict) else { return false }
    settle(position)
    decideRefunds(ofPayments: [key])
    return true
  }

  private mutating func settle(_ position: Int) {
    events[position].event.isSettled = true
    if events[position].event.verdict == .parked { events[position].event.verdict = .refundDue }
  }

  /// Retention handles an event that is a month old.
  mutating func retire(_ key: String) {
    guard let position = events.firstIndex(where: { $0.key == key }) else { return }
    guard events[position].event.verdict == .parked else { return }
    if events[position].event.status == .success {
      events[position].event.verdict = .refundDue
      decideRefunds(ofPayments: [key])
    } else {
      events.remove(at: position)
    }
  }

  enum Refunding: Equatable {
    case refunded(Int64, isReplay: Bool)
    case keyReused, orderNotFound
    case orderNotPaid(Order.Status)
    case refundTooLarge(left: Int64)
  }

  /// An operator refunds an order.
  mutating func refund(_ index: Int, _ amount: Int64?, restock isRestock: Bool, key: String) -> Refunding {
    let product = holds[index].product
    if let known = refunds.first(where: { $0.key == key && holds[$0.hold].product == product }) {
      let isSame = (known.hold, known.requested, known.isRestock) == (index, amount, isRestock)
      return isSame ? .refunded(known.amount, isReplay: true) : .keyReused
    }
    guard let order = orders[index] else { return .orderNotFound }
    guard [.paid, .refunded].contains(order.status) else { return .orderNotPaid(order.status) }
    let left = self.amount(of: index) - order.refunded
    let onlyRestocks = left == 0 && amount == nil && isRestock && !order.isRestocked
    guard amount ?? left <= left, left > 0 || onlyRestocks else { return .refundTooLarge(left: left) }
    let refund = Refund(hold: index, requested: amount, isRestock: isRestock, amount: amount ?? left, key: key)
    refunds.append(refund)
    add(refund.amount, to: index)
    if isRestock, orders[index]!.status == .refunded { orders[index]!.isRestocked = true }
    return .refunded(refund.amount, isReplay: false)
  }

  private func amount(of index: Int) -> Int64 { Int64(holds[index].quantity) * Self.price }

  private mutating func add(_ money: Int64, to index: Int) {
    orders[index]!.refunded += money
    if orders[index]!.refunded == amount(of: index) { orders[index]!.status = .refunded }
  }

  /// Decides a payment or a failure. Leaves refunds and disputes parked.
  ///
  /// - Parameter ofLiveOrder: whether the order was live when the transaction began. Then its units count already.
  mutating func decide(_ event: inout Event, ofLiveOrder: Bool = false) {
    if event.status == .attemptFailed {
      event.verdict = .attemptFailed
      event.orderStatus = orders[event.hold]?.status
    }
    guard [.success, .failed].contains(event.status), let order = orders[event.hold] else { return }
    let hold = holds[event.hold]
    if let amount = event.amount, amount != self.amount(of: event.hold) {
      event.verdict = .amountMismatch
    } else if event.status == .failed {
      event.verdict = order.status == .pendingPayment ? .applied : .ignored
      if order.status == .pendingPayment { orders[event.hold]!.status = .cancelled }
    } else {
      switch order.status {
      case .pendingPayment:
        orders[event.hold]!.status = .paid
        event.verdict = .applied
      case .paid, .refunded: event.verdict = .refundDue
      case .cancelled, .expired:
        let isWithinLimit =
          if !ofLiveOrder, let maximum = products[hold.product].maximumPerCustomer, let customer = hold.customer {
            units(of: customer, in: hold.product) + hold.quantity <= maximum
          } else {
            true
          }
        if isWithinLimit, available(hold.product) >= hold.quantity {
          orders[event.hold]!.status = .paid
          event.verdict = .reacquired
        } else {
          event.verdict = .refundDue
        }
      }
    }
    event.orderStatus = orders[event.hold]!.status
  }

  /// Decides the parked refunds and disputes of these payments.
  mutating func decideRefunds(ofPayments keys: Set<String>) {
    for payment in events.indices where keys.contains(events[payment].key) && events[payment].event.status == .success {
      for position in events.indices where isAbout(position, payment) && events[position].event.verdict == .parked {
        decideRefund(position, of: payment)
      }
      guard events[payment].event.verdict != .parked else { continue }
      for position in events.indices where isAbout(position, payment) && events[position].event.verdict == .parked {
        events[position].event.verdict = .ignored
      }
    }
  }

  private func isAbout(_ position: Int, _ payment: Int) -> Bool {
    let event = events[position].event
    return event.paymentKey == events[payment].key && event.hold == events[payment].event.hold
  }

  private mutating func decideRefund(_ position: Int, of payment: Int) {
    let (event, paid) = (events[position].event, events[payment].event)
    let hasPaid = [.applied, .reacquired].contains(paid.verdict)
    var verdict: PaymentEvent.Verdict = paid.verdict == .parked ? .parked : .ignored
    switch event.status {
    case .disputeOpen, .disputeWon, .disputeLost:
      let dispute = String(event.status.rawValue.dropFirst("dispute_".count))
      if hasPaid, orders[event.hold]!.dispute == nil || (dispute != "open" && dispute != orders[event.hold]!.dispute) {
        orders[event.hold]!.dispute = dispute
        verdict = .applied
      }
    default:
      // Totals and single refunds describe the same money.
      let known = events[...position].indices.filter { isAbout($0, payment) }.map { events[$0].event }
      let largest = known.filter { $0.status == .refundedTotal }.compactMap(\.amount).max() ?? 0
      let money = max(largest, known.filter { $0.status == .refund }.compactMap(\.amount).reduce(0, +))
      if hasPaid {
        let more = min(money, amount(of: event.hold)) - orders[event.hold]!.refunded
        if more > 0 {
          add(more, to: event.hold)
          verdict = .applied
        }
      } else if !paid.isSettled, let due = paid.amount ?? orders[event.hold].map({ _ in amount(of: event.hold) }),
        money >= due
      {
        settle(payment)
        verdict = .settled
      }
    }
    events[position].event.verdict = verdict
    if verdict != .parked { events[position].event.orderStatus = orders[event.hold]?.status }
  }
}
