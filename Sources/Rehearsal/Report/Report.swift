import Foundation

/// The findings of a run: the checks and the numbers.
package struct Report: Sendable {
  package let evidence: Evidence
  package let checks: [CheckResult]
  package let statistics: Statistics

  package init(_ evidence: Evidence) {
    self.evidence = evidence
    checks = Checks.all(evidence)
    statistics = Statistics(evidence)
  }

  /// Whether the sale was played to its end, and all checks hold.
  package var holds: Bool { checks.allSatisfy(\.holds) && !evidence.wasInterrupted && evidence.isPaused }

  package var verdict: String {
    let broken = checks.filter { !$0.holds }.map(\.name)
    if !broken.isEmpty { return "\(broken.count) of \(checks.count) checks failed: \(broken.joined(separator: ", "))." }
    if evidence.wasInterrupted { return "The run was interrupted. All checks hold so far." }
    if !evidence.isPaused { return "All checks hold, but the product could not be paused." }
    return "All \(checks.count) checks hold."
  }

  /// What limits the findings.
  package var notes: [String] {
    var notes: [String] = []
    if evidence.wasInterrupted { notes.append("The run was interrupted after \(Text.seconds(evidence.end)).") }
    if !evidence.isPaused { notes.append("Product \(evidence.product.id) could not be paused: pause it yourself.") }
    if statistics.measuredItself {
      notes.append(
        "The generator started requests up to \(Text.milliseconds(statistics.lagMaximum)) late, so the run measured "
          + "itself: the latencies are upper bounds. Use another machine, or fewer buyers a second.")
    }
    let late = Set(evidence.skipped.filter { $0.request.kind == .payment }.map(\.buyer)).count
    if late > 0, !evidence.wasInterrupted {
      notes.append(
        "\(late) late payments were not sent, because their orders live longer than the run. "
          + "Raise --wait, or start the server with a shorter ORDER_TTL_SECONDS.")
    }
    let limited = statistics.unservedAttempts
    if limited > 0 { notes.append("\(Text.count(limited)) attempts got 429 or 5xx, and were repeated.") }
    return notes
  }

  /// Rows with the numbers, for text and HTML.
  var numbers: [[String]] {
    let statistics = statistics
    return [
      ["units granted", Text.count(statistics.unitsGranted)],
      ["units paid", Text.count(statistics.unitsPaid)],
      ["time to sell out", Text.seconds(statistics.soldOut)],
      ["most arrivals in a second", Text.count(statistics.peakArrivals)],
      ["requests", Text.count(evidence.requests.count)],
      ["attempts without a response", Text.count(statistics.lostAttempts)],
      ["people granted", "\(Text.count(statistics.people.granted)) of \(Text.count(statistics.people.buyers))"],
      ["bots granted", "\(Text.count(statistics.bots.granted)) of \(Text.count(statistics.bots.buyers))"],
      ["rank correlation of arrival and grant, people", Text.correlation(statistics.people.correlation)],
      ["rank correlation of arrival and grant, bots", Text.correlation(statistics.bots.correlation)],
      ["generator's lag, p99", Text.milliseconds(statistics.lagP99)],
      ["generator's lag, maximum", Text.milliseconds(statistics.lagMaximum)],
    ]
  }

  static let latencyHeader = ["latency", "requests", "p50", "p99", "p99.9", "maximum"]

  var latencies: [[String]] {
    statistics.latencies.map {
      [
        $0.requests, Text.count($0.count), Text.milliseconds($0.p50), Text.milliseconds($0.p99),
        Text.milliseconds($0.p999), Text.milliseconds($0.maximum),
      ]
    }
  }

  static let recoveryHeader = ["kill at", "exit code", "failed attempts", "recovered after"]

  var recoveries: [[String]] {
    statistics.recoveries.map {
      [
        Text.seconds($0.killed), $0.exitCode.map { "\($0)" } ?? "-", Text.count($0.failures),
        $0.time.map { Text.seconds($0) } ?? "not before the next kill",
      ]
    }
  }
}
