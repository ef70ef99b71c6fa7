/// The run in intervals of equal length, for plots.
struct Timeline {
  /// The middle of each interval, in seconds.
  var seconds: [Double] = []
  /// Final responses a second.
  var granted: [Double] = []
  var refused: [Double] = []
  var others: [Double] = []
  /// Attempts a second that brought no decision of the server.
  var failed: [Double] = []
  /// Planned arrivals a second.
  var arrivals: [Double] = []
  /// Milliseconds. Nil without a response in the interval.
  var p50: [Double?] = []
  var p99: [Double?] = []

  private static let intervals = 120

  init(_ evidence: Evidence) {
    let end = max(evidence.end, 1)
    let width = max(
      Microseconds.milliseconds(100), (end + Microseconds(Self.intervals) - 1) / Microseconds(Self.intervals))
    let count = Int((end + width - 1) / width)
    let zeros = [Double](repeating: 0, count: count)
    (granted, refused, others, failed, arrivals) = (zeros, zeros, zeros, zeros, zeros)
    var latencies = [[Microseconds]](repeating: [], count: count)
    let share = 1 / width.inSeconds
    func index(_ time: Microseconds) -> Int { min(count - 1, max(0, Int(time / width))) }
    for buyer in evidence.plan.buyers where buyer.arrival <= end { arrivals[index(buyer.arrival)] += share }
    for request in evidence.requests {
      for attempt in request.attempts where !attempt.isServed { failed[index(attempt.ended)] += share }
      guard let response = request.response, let time = request.answered else { continue }
      latencies[index(time)].append(time - request.intended)
      switch (request.kind, response.status) {
      case (.hold, 201): granted[index(time)] += share
      case (.hold, _): refused[index(time)] += share
      default: others[index(time)] += share
      }
    }
    seconds = (0..<count).map { (Double($0) + 0.5) * width.inSeconds }
    let percentiles = latencies.map { Percentiles($0) }
    p50 = percentiles.map { $0.value(0.5)?.inMilliseconds }
    p99 = percentiles.map { $0.value(0.99)?.inMilliseconds }
  }
}
