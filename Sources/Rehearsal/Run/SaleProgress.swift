/// What happened in the last second of a run, and so far.
package struct SaleProgress: Sendable {
  /// Since the start.
  package var time: Microseconds = 0
  package var arrived = 0
  package var buyers = 0
  /// Responses in the last second.
  package var responsesPerSecond = 0
  /// Units in holds that were granted.
  package var unitsHeld = 0
  /// Units of orders that were paid.
  package var unitsSold = 0
  /// Refused requests for holds.
  package var refused = 0
  /// Attempts without a complete response.
  package var lost = 0
  /// The latencies of the responses in the last second, unsorted.
  package var latencies: [Microseconds] = []
  /// Until the last arrival.
  package var timeLeft: Microseconds = 0
  /// Requests that have no final response yet, and requests that are due later.
  package var open = 0

  /// The progress as one line for a terminal of at least 80 columns.
  package var line: String {
    let left = timeLeft > 0 ? "\(Int(timeLeft.inSeconds.rounded(.up))) s left" : "\(open) requests left"
    let p99 = Percentiles(latencies).value(0.99).map { Text.milliseconds($0) } ?? "-"
    return [
      Text.seconds(time), "\(arrived)/\(buyers) buyers", "\(responsesPerSecond)/s", "held \(unitsHeld)",
      "sold \(unitsSold)", "refused \(refused)", "lost \(lost)", "p99 \(p99)", left,
    ].joined(separator: "  ")
  }
}
