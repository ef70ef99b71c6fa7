extension Report {
  private static let shownViolations = 5

  /// The report as plain text.
  package var text: String {
    let scenario = evidence.plan.scenario
    var lines = [
      "Rehearsal with seed \(scenario.seed): \(Text.count(scenario.buyers)) buyers, "
        + "\(Text.count(scenario.stock)) units, "
        + "\(scenario.arrival.rawValue), at \(evidence.url), product \(evidence.product.id)", "",
    ]
    for check in checks {
      lines.append("\(check.holds ? "ok    " : "FAILED")  \(check.question) \(check.summary)")
      lines += check.violations.prefix(Self.shownViolations).map { "          \($0.line)" }
      let more = check.violations.count - Self.shownViolations
      if more > 0 { lines.append("          and \(more) more: see --json") }
    }
    lines.append("")
    lines += Self.columns(numbers)
    lines.append("")
    lines += Self.columns([Self.latencyHeader] + latencies)
    if !recoveries.isEmpty { lines += [""] + Self.columns([Self.recoveryHeader] + recoveries) }
    if !notes.isEmpty { lines += [""] + notes }
    return (lines + ["", verdict]).joined(separator: "\n")
  }

  private static func columns(_ rows: [[String]]) -> [String] {
    guard let first = rows.first else { return [] }
    let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      zip(row, widths).enumerated().map { index, cell in
        let space = String(repeating: " ", count: cell.1 - cell.0.count)
        return index == 0 ? cell.0 + space : space + cell.0
      }.joined(separator: "  ")
    }
  }
}
