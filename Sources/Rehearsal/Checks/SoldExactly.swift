/// Whether the state at the end adds up: units in holds and live orders = stock - available units.
enum SoldExactly {
  static func check(_ evidence: Evidence) -> CheckResult {
    var violations: [CheckResult.Violation] = []
    let readings = evidence.readings
    let stock = evidence.product.stock
    var summary = "The stock could not be read."
    if let before = readings.stockBefore, let after = readings.stockAfter {
      let units = readings.committedUnits
      let left =
        before.available == after.available ? "\(after.available)" : "\(before.available) to \(after.available)"
      summary =
        "\(Text.count(units)) units in holds and live orders; \(left) of \(Text.count(stock)) units are available."
      for reading in [before, after] where reading.total != stock {
        violations.append(
          .init("total_stock_changed", "total_stock is \(reading.total), not \(stock)", times: [reading.ended]))
      }
      // Units only come back while the state is read: the product is paused, and no buyer is active. Each hold was read
      // between the two readings of the stock, so the sum lies between them.
      if !(before.available...max(before.available, after.available)).contains(stock - units) {
        violations.append(
          .init(
            units > stock ? "oversold" : "units_do_not_add_up",
            "\(units) units are taken, so \(stock - units) must be available, not \(left)",
            times: [before.sent, after.ended]))
      }
    } else {
      violations.append(.init("stock_unknown", "the server did not say how many units are available"))
    }
    return CheckResult(
      name: "sold_exactly", question: "Was every unit sold at most once, and is none missing?", summary: summary,
      violations: violations)
  }
}
