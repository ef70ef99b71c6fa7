/// Whether more units than the stock were certainly taken at some moment.
enum NeverOversold {
  static func check(_ evidence: Evidence, _ ledger: Ledger) -> CheckResult {
    let stock = evidence.product.stock
    let (peak, time) = peak(ledger)
    var violations: [CheckResult.Violation] = []
    if peak > stock {
      let taken = ledger.reservations.filter { $0.certainTimes.contains { $0.contains(time) } }
      violations.append(
        .init(
          "oversold", "\(peak) units were taken at the same moment, of a stock of \(stock)",
          keys: taken.map { $0.holdRequests[0].key }, ids: taken.map(\.holdID), times: [time]))
    }
    return CheckResult(
      name: "never_oversold", question: "Were there ever more units granted than the stock?",
      summary: "At most \(Text.count(peak)) of \(Text.count(stock)) units were certainly taken at the same moment.",
      violations: violations)
  }

  /// The most units that were certainly taken at the same moment, and the first such moment.
  static func peak(_ ledger: Ledger) -> (units: Int, time: Microseconds) {
    var peak = (units: 0, time: Microseconds(0))
    for (time, units) in steps(ledger) where units > peak.units { peak = (units, time) }
    return peak
  }

  /// The units that are certainly taken, after each change.
  static func steps(_ ledger: Ledger) -> [(time: Microseconds, units: Int)] {
    var changes: [(time: Microseconds, units: Int)] = []
    for reservation in ledger.reservations {
      for times in reservation.certainTimes {
        changes.append((times.lowerBound, reservation.quantity))
        if times.upperBound < .max { changes.append((times.upperBound, -reservation.quantity)) }
      }
    }
    // The times are half-open: at the same time, ends come first.
    changes.sort { ($0.time, $0.units) < ($1.time, $1.units) }
    var units = 0
    return changes.map { change in
      units += change.units
      return (change.time, units)
    }
  }
}
