/// Whether each verdict follows from the contract's table, given what was sent before.
///
/// Requests that overlap may take effect in any order. A verdict is a violation only if no order explains it.
enum VerdictsExplained {
  private typealias Violation = CheckResult.Violation

  static func check(_ evidence: Evidence, _ ledger: Ledger) -> CheckResult {
    var violations: [Violation] = []
    var count = 0
    for reservation in ledger.reservations {
      for payment in reservation.payments {
        guard let response = payment.response, 200...299 ~= response.status else { continue }
        count += 1
        guard let reason = reason(payment, response, reservation) else { continue }
        violations.append(
          Violation(
            "unexplained_verdict",
            "\(payment.template.payment?.rawValue ?? "") got \(response.verdict ?? "none"): \(reason)",
            keys: [payment.key], ids: [payment.orderID], times: [payment.firstSent, payment.answered]))
      }
      violations += contradictions(reservation)
    }
    return CheckResult(
      name: "verdicts_explained", question: "Does each verdict follow from what was sent before?",
      summary: "\(Text.count(count)) verdicts, \(Text.count(violations.count)) unexplained.", violations: violations)
  }

  /// Why a verdict is impossible. Nil if it is possible.
  private static func reason(
    _ payment: RequestRecord, _ response: SaleResponse, _ order: Reservation
  ) -> String? {
    let history = OrderHistory(payment, order)
    if let reason = statusReason(payment, response) { return reason }
    switch (response.verdict ?? "", payment.template.payment) {
    case ("parked", _):
      // Also for a replay: a parked event that has been applied answers with its new verdict.
      return history.orderExisted ? "the order had been acknowledged" : nil
    case ("applied", .success):
      if history.failedBefore { return "the order had been cancelled" }
      return history.paidBefore ? "the order had been paid" : history.mayExist ? nil : "no order had been requested"
    case ("applied", .failed):
      if history.failedBefore { return "the order had been cancelled" }
      return history.paidBefore ? "the order had been paid" : history.mayExist ? nil : "no order had been requested"
    case ("reacquired", .success):
      if history.paidBefore { return "the order had been paid" }
      return history.mayHaveEnded ? nil : "nothing had cancelled the order, and its time had not run out"
    case ("refund_due", .success):
      return history.mayHaveEnded || history.mayBePaid ? nil : "the order had neither ended nor been paid"
    case ("ignored", .failed):
      return history.mayHaveEnded || history.mayBePaid ? nil : "the order was unpaid"
    case ("amount_mismatch", _):
      let amount = order.orders.lazy.compactMap { $0.response?.amount }.first
      return amount == nil || amount == payment.amount ? "the amount is the order's" : nil
    default: return "the table has no such verdict for this event"
    }
  }

  /// Why the status or `order_status` does not fit the verdict.
  private static func statusReason(_ payment: RequestRecord, _ response: SaleResponse) -> String? {
    let isParked = response.verdict == "parked"
    if (response.status == 202) != isParked { return "the status is \(response.status)" }
    if response.orderID != payment.orderID { return "the response is about \(response.orderID ?? "no order")" }
    let allowed: Set<String?> =
      switch (response.verdict ?? "", payment.template.payment) {
      case ("parked", _): [nil]
      case ("applied", .success), ("reacquired", _): ["paid"]
      case ("applied", _): ["cancelled"]
      case ("refund_due", _), ("ignored", _): ["paid", "cancelled", "expired"]
      default: [response.orderStatus]
      }
    return allowed.contains(response.orderStatus) ? nil : "order_status is \(response.orderStatus ?? "null")"
  }

  /// Two events that cannot both have had their effect.
  private static func contradictions(_ order: Reservation) -> [Violation] {
    let applied = order.payments.filter { ["applied", "reacquired"].contains($0.response?.verdict ?? "") }
    let payments = Set(applied.filter { $0.template.payment == .success }.compactMap(\.key))
    let first = Set(applied.filter { $0.response?.verdict == "applied" }.compactMap(\.key))
    func violation(_ name: String, _ detail: String, _ keys: Set<String>) -> Violation {
      Violation(name, detail, keys: keys.sorted(), ids: [order.orderID], times: applied.map(\.answered))
    }
    if payments.count > 1 {
      return [violation("paid_twice", "two payments of one order took effect", payments)]
    }
    // The first event to be applied ends `pending_payment`, and no event brings that back.
    return first.count > 1 ? [violation("applied_twice", "two events were applied to one unpaid order", first)] : []
  }
}
