/// Whether `available_stock` at the end follows from the responses that buyers got, without reading any hold.
enum StockAsExpected {
  static func check(_ evidence: Evidence, _ ledger: Ledger) -> CheckResult {
    let question = "Is the available stock at the end what the buyers' responses say?"
    guard let reading = evidence.readings.stockAfter else {
      return CheckResult(
        name: "stock_as_expected", question: question, summary: "The stock could not be read.",
        violations: [.init("stock_unknown", "the server did not say how many units are available")])
    }
    let certain = ledger.reservations.filter { reservation in
      reservation.certainTimes.contains { $0.contains(reading.sent) && $0.upperBound > reading.ended }
    }
    let possible = ledger.reservations.filter { $0.mayBeTaken(at: reading.sent) }
    let unknown = unknownHolds(evidence)
    let least = certain.reduce(0) { $0 + $1.quantity }
    let most = possible.reduce(0) { $0 + $1.quantity } + unknown.reduce(0) { $0 + ($1.template.quantity ?? 0) }
    let taken = reading.total - reading.available
    var violations: [CheckResult.Violation] = []
    if taken < least {
      violations.append(
        .init(
          "units_came_back", "\(taken) units are taken, but the responses promise \(least)",
          keys: certain.map { $0.holdRequests[0].key }, ids: certain.map(\.holdID),
          times: [reading.sent, reading.ended]))
    }
    if taken > most {
      violations.append(
        .init(
          "units_are_missing", "\(taken) units are taken, but the responses account for only \(most)",
          times: [reading.sent, reading.ended]))
    }
    let range = least == most ? "\(Text.count(least))" : "\(Text.count(least)) to \(Text.count(most))"
    return CheckResult(
      name: "stock_as_expected", question: question,
      summary: "\(Text.count(taken)) units are taken; the responses say \(range).", violations: violations)
  }

  /// Requests for holds that may have been granted, one for each key.
  private static func unknownHolds(_ evidence: Evidence) -> [RequestRecord] {
    let granted = Set(evidence.requests.lazy.filter { $0.kind == .hold && $0.isSuccess }.map(\.key))
    var seen: Set<String?> = []
    return evidence.requests.filter {
      $0.kind == .hold && $0.isUnknown && !granted.contains($0.key) && seen.insert($0.key).inserted
    }
  }
}
