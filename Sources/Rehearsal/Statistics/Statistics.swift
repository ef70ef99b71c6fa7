/// The numbers of the report.
package struct Statistics: Codable, Sendable {
  package struct Latency: Codable, Sendable {
    package var requests: String
    package var count: Int
    package var p50: Microseconds?
    package var p99: Microseconds?
    package var p999: Microseconds?
    package var maximum: Microseconds?

    init(_ requests: String, _ percentiles: Percentiles) {
      self.requests = requests
      count = percentiles.count
      p50 = percentiles.value(0.5)
      p99 = percentiles.value(0.99)
      p999 = percentiles.value(0.999)
      maximum = percentiles.maximum
    }
  }

  package struct Group: Codable, Sendable {
    package var buyers: Int
    package var granted: Int
    /// Spearman's rank correlation of arrival and grant.
    package var correlation: Double?
  }

  /// Above this lag the run has measured the generator, too.
  package static let largestLag = Microseconds.milliseconds(10)

  /// All requests first, then each kind.
  package var latencies: [Latency] = []
  /// The generator's delay of starts.
  package var lagP99: Microseconds?
  package var lagMaximum: Microseconds?
  /// The most arrivals in one second.
  package var peakArrivals = 0
  package var attempts = 0
  package var lostAttempts = 0
  package var unservedAttempts = 0
  /// Responses to requests for holds, by status and problem.
  package var holdResponses: [String: Int] = [:]
  package var verdicts: [String: Int] = [:]
  /// The first refusal that says that no unit is available.
  package var soldOut: Microseconds?
  package var unitsGranted = 0
  package var unitsPaid = 0
  package var people = Group(buyers: 0, granted: 0)
  package var bots = Group(buyers: 0, granted: 0)
  package var recoveries: [Recovery] = []

  package var measuredItself: Bool { max(lagP99 ?? 0, lagMaximum ?? 0) > Self.largestLag }

  package init(_ evidence: Evidence) {
    let requests = evidence.requests
    latencies = [Latency("all", Percentiles(requests.compactMap(\.latency)))]
    latencies += RequestTemplate.Kind.allCases.map { kind in
      Latency(kind.rawValue, Percentiles(requests.compactMap { $0.kind == kind ? $0.latency : nil }))
    }
    let lags = Percentiles(requests.map { max(0, $0.started - $0.intended) })
    lagP99 = lags.value(0.99)
    lagMaximum = lags.maximum
    let arrivals = Dictionary(grouping: evidence.plan.buyers) { $0.arrival / .perSecond }
    peakArrivals = arrivals.values.map(\.count).max() ?? 0
    attempts = requests.reduce(0) { $0 + $1.attempts.count }
    lostAttempts = requests.reduce(0) { $0 + $1.attempts.count { $0.status == nil } }
    unservedAttempts = requests.reduce(0) { $0 + $1.attempts.count { $0.status != nil && !$0.isServed } }
    countResponses(requests)
    recoveries = Recovery.all(evidence)
    let grants = Self.firstGrants(requests)
    people = Self.group(evidence, grants: grants) { !$0.isBot }
    bots = Self.group(evidence, grants: grants) { $0.isBot }
  }

  private mutating func countResponses(_ requests: [RequestRecord]) {
    var paid: Set<String> = []
    var granted: [String: Int] = [:]
    for request in requests {
      guard let response = request.response else { continue }
      switch request.kind {
      case .hold:
        holdResponses[response.problem ?? String(response.status), default: 0] += 1
        if response.problem == "insufficient-stock", response.availableStock == 0, let time = request.answered {
          soldOut = min(soldOut ?? .max, time)
        }
        if response.status == 201, let id = response.holdID { granted[id] = response.quantity ?? 0 }
      case .payment:
        verdicts[response.verdict ?? response.problem ?? String(response.status), default: 0] += 1
        if response.orderStatus == "paid", let id = request.holdID { paid.insert(id) }
      case .order:
        // A parked payment is applied when the order is placed.
        if response.state == "paid", let id = request.holdID { paid.insert(id) }
      case .release: break
      }
    }
    unitsGranted = granted.values.reduce(0, +)
    unitsPaid = paid.reduce(0) { $0 + (granted[$1] ?? 0) }
  }

  /// The time of the grant for each buyer whose first request was granted at the first attempt.
  ///
  /// Other buyers were not treated alike: they came again, or their response was lost.
  private static func firstGrants(_ requests: [RequestRecord]) -> [Int: Microseconds] {
    var grants: [Int: Microseconds] = [:]
    for request in requests where request.kind == .hold && request.template.copy == 0 {
      guard request.attempts.count == 1, request.response?.status == 201, let time = request.answered else { continue }
      grants[request.buyer] = time
    }
    return grants
  }

  private static func group(
    _ evidence: Evidence, grants: [Int: Microseconds], _ isIn: (BuyerPlan) -> Bool
  ) -> Group {
    let members = evidence.plan.buyers.filter(isIn)
    let granted = Set(evidence.requests.lazy.filter { $0.kind == .hold && $0.isSuccess }.map(\.buyer))
    let pairs = members.compactMap { member in grants[member.number].map { (member.arrival, $0) } }
    return Group(
      buyers: members.count, granted: members.count { granted.contains($0.number) },
      correlation: RankCorrelation.spearman(pairs))
  }
}
