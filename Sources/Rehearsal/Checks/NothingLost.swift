/// Whether everything that a response acknowledged is found afterwards, in the state that it must have.
enum NothingLost {
  private typealias Violation = CheckResult.Violation

  static func check(_ evidence: Evidence, _ ledger: Ledger) -> CheckResult {
    let holds = Dictionary(evidence.readings.holds.map { ($0.id, $0) }) { first, _ in first }
    let orders = Dictionary(evidence.readings.orders.map { ($0.id, $0) }) { first, _ in first }
    let events = Dictionary(grouping: evidence.readings.events) { $0.key }
    var violations: [Violation] = []
    for reservation in ledger.reservations {
      violations += hold(reservation, holds[reservation.holdID])
      if reservation.orderAcknowledged != nil, let id = reservation.orderID {
        violations += order(reservation, id, orders[id])
      }
    }
    let payments = evidence.requests.filter { $0.kind == .payment && $0.isSuccess }
    for payment in payments { violations += event(payment, events, evidence) }
    let acknowledged = ledger.reservations.count { $0.orderAcknowledged != nil }
    return CheckResult(
      name: "nothing_lost", question: "Is everything that was acknowledged there, as it must be?",
      summary: "\(Text.count(ledger.reservations.count)) holds, \(Text.count(acknowledged)) orders and "
        + "\(Text.count(payments.count)) responses to payments were looked up.",
      violations: violations)
  }

  private static func hold(_ reservation: Reservation, _ reading: FinalReadings.Item?) -> [Violation] {
    let id = reservation.holdID
    guard let reading, let status = reading.status else {
      return [violation("hold_unreadable", "the acknowledged hold could not be read", reservation, id)]
    }
    guard status == 200, let state = reading.state else {
      return [violation("hold_lost", "the acknowledged hold is \(status) now", reservation, id, reading)]
    }
    var violations: [Violation] = []
    if reading.quantity != reservation.quantity {
      let now = reading.quantity.map(String.init) ?? "no"
      violations.append(
        violation(
          "hold_changed", "the hold had \(reservation.quantity) units, and has \(now) now", reservation, id, reading))
    }
    let allowed = statesOfHold(reservation, at: reading)
    if !allowed.contains(state) {
      violations.append(
        violation(
          "hold_state_wrong", "the hold is \(state), and must be \(allowed.sorted().joined(separator: " or "))",
          reservation, id, reading))
    }
    return violations
  }

  static func statesOfHold(_ reservation: Reservation, at reading: FinalReadings.Item) -> Set<String> {
    if reservation.orderAcknowledged != nil { return ["ordered"] }
    if reservation.isReleased { return ["released"] }
    var states: Set<String> = []
    if reading.sent <= reservation.latestLapse { states.insert("active") }
    if reading.ended >= reservation.earliestLapse { states.insert("expired") }
    if reservation.orders.contains(where: { $0.isUnknown }) { states.insert("ordered") }
    if reservation.releases.contains(where: { $0.isUnknown }) { states.insert("released") }
    return states
  }

  private static func order(
    _ reservation: Reservation, _ id: String, _ reading: FinalReadings.Item?
  ) -> [Violation] {
    guard let reading, let status = reading.status else {
      return [violation("order_unreadable", "the acknowledged order could not be read", reservation, id)]
    }
    guard status == 200, let state = reading.state else {
      return [violation("order_lost", "the acknowledged order is \(status) now", reservation, id, reading)]
    }
    var violations: [Violation] = []
    if reading.quantity != reservation.quantity {
      let now = reading.quantity.map(String.init) ?? "no"
      violations.append(
        violation(
          "order_changed", "the order had \(reservation.quantity) units, and has \(now) now", reservation, id, reading))
    }
    let allowed = statesOfOrder(reservation, at: reading)
    if !allowed.contains(state) {
      violations.append(
        violation(
          "order_state_wrong", "the order is \(state), and must be \(allowed.sorted().joined(separator: " or "))",
          reservation, id, reading))
    }
    return violations
  }

  static func statesOfOrder(_ reservation: Reservation, at reading: FinalReadings.Item) -> Set<String> {
    // A parked success is applied by the transaction that places the order.
    let isParked = !reservation.events(.success, with: ["parked"]).isEmpty
    if reservation.isPaid || isParked { return ["paid"] }
    var states: Set<String> = []
    if reservation.isCancelled {
      states = ["cancelled"]
    } else {
      states = ["pending_payment"]
      if reading.ended >= reservation.earliestExpiry ?? 0 { states.insert("expired") }
    }
    for payment in reservation.payments where payment.isUnknown {
      states.insert(payment.template.payment == .failed ? "cancelled" : "paid")
    }
    return states
  }

  private static func event(
    _ payment: RequestRecord, _ events: [String: [FinalReadings.Event]], _ evidence: Evidence
  ) -> [Violation] {
    guard let planned = payment.key, let orderID = payment.orderID else { return [] }
    if evidence.readings.ordersWithoutEvents.contains(orderID) {
      return [violation("event_unreadable", "the payment events of the order could not be read", payment)]
    }
    guard let event = events[evidence.product.key(planned)]?.first(where: { $0.orderID == orderID }) else {
      return [violation("payment_lost", "the acknowledged payment event is not recorded", payment)]
    }
    let acknowledged = payment.response?.verdict ?? ""
    // A parked event gets its verdict when the order is placed.
    guard event.verdict == acknowledged || acknowledged == "parked", event.status == payment.template.payment?.rawValue
    else {
      return [
        violation(
          "payment_changed",
          "recorded are \(event.status) and the verdict \(event.verdict); the response said \(acknowledged)",
          payment)
      ]
    }
    return []
  }

  private static func violation(
    _ name: String, _ detail: String, _ reservation: Reservation, _ id: String, _ reading: FinalReadings.Item? = nil
  ) -> Violation {
    Violation(
      name, detail, keys: [reservation.holdRequests[0].key], ids: [id],
      times: [reservation.holdRequests[0].answered, reservation.orderAcknowledged, reading?.ended])
  }

  private static func violation(_ name: String, _ detail: String, _ payment: RequestRecord) -> Violation {
    Violation(name, detail, keys: [payment.key], ids: [payment.orderID], times: [payment.firstSent, payment.answered])
  }
}
