/// Whether each idempotency key had one effect, however often its request was sent.
enum OneEffectPerKey {
  private typealias Violation = CheckResult.Violation

  static func check(_ evidence: Evidence) -> CheckResult {
    var violations: [Violation] = []
    var counts = (keys: 0, replays: 0)
    for kind in [RequestTemplate.Kind.hold, .order, .payment] {
      let groups = Dictionary(grouping: evidence.requests.filter { $0.kind == kind && $0.key != nil }) { $0.key ?? "" }
      for (key, requests) in groups.sorted(by: { $0.key < $1.key }) {
        let successes = requests.filter { $0.isSuccess }
        if !successes.isEmpty { counts.keys += 1 }
        counts.replays += successes.count { $0.response?.isReplay == true }
        violations += effects(of: key, kind, requests)
      }
      violations += kind == .hold ? sharedHolds(groups) : []
    }
    let repeated = Dictionary(grouping: evidence.readings.events) { $0.key }.filter { $0.value.count > 1 }
    violations += repeated.sorted { $0.key < $1.key }.map { key, events in
      Violation(
        "recorded_twice", "\(events.count) payment events are recorded", keys: [key], ids: events.map(\.orderID))
    }
    return CheckResult(
      name: "one_effect_per_key", question: "Did each idempotency key have one effect?",
      summary: "\(Text.count(counts.keys)) keys with an effect, \(Text.count(counts.replays)) replays.",
      violations: violations)
  }

  private static func effects(
    of key: String, _ kind: RequestTemplate.Kind, _ requests: [RequestRecord]
  ) -> [Violation] {
    let successes = requests.filter { $0.isSuccess }
    let times = successes.map(\.answered)
    var violations: [Violation] = []
    func add(_ name: String, _ detail: String, ids: [String?] = []) {
      violations.append(Violation(name, detail, keys: [key], ids: ids, times: times))
    }
    if requests.contains(where: { $0.response?.problem == "idempotency-key-reused" }) {
      add("called_reused", "the server says that another request used the key; the key belongs to one request")
    }
    // A repeat that was sent before the first response may have been decided before the request that succeeded.
    let known = times.compactMap { $0 }.min() ?? .max
    if let refused = requests.first(where: { $0.firstSent > known && $0.response?.status == 409 }) {
      let problem = refused.response?.problem ?? "409"
      add("effect_forgotten", "the key had an effect, and a later repeat got \(problem) instead of a replay")
    }
    let fresh = successes.count { $0.response?.isReplay == false }
    if fresh > 1 { add("two_effects", "\(fresh) responses say that they are the first with this key") }
    if kind == .payment {
      let verdicts = Set(successes.compactMap { $0.response?.verdict }).subtracting(["parked"])
      if verdicts.count > 1 {
        add("two_verdicts", "the event got the verdicts \(verdicts.sorted().joined(separator: ", "))")
      }
      return violations
    }
    let ids = Set(successes.compactMap { kind == .hold ? $0.response?.holdID : $0.response?.orderID }).sorted()
    if ids.count > 1 { add("two_effects", "the key led to \(ids.count) ids", ids: ids) }
    if kind == .hold {
      // The units that the key took must be the units that were asked for.
      let units = Dictionary(successes.map { ($0.response?.holdID ?? "", $0.response?.quantity ?? 0) }) { $1 }
      let taken = units.values.reduce(0, +)
      if let asked = successes.first?.template.quantity, taken != asked {
        add("units_differ", "\(asked) units were asked for, and the key took \(taken)", ids: ids)
      }
    }
    for order in successes where kind == .order {
      let expected = order.holdID.flatMap { ReservationNumber.orderID(ofHold: $0) }
      if order.response?.orderID != expected || order.response?.holdID != order.holdID {
        add("other_order", "the order is not that of its hold", ids: [order.holdID, order.response?.orderID])
      }
    }
    return violations
  }

  /// Holds that several keys led to.
  private static func sharedHolds(_ groups: [String: [RequestRecord]]) -> [Violation] {
    var keys: [String: Set<String>] = [:]
    for (key, requests) in groups {
      for id in requests.compactMap({ $0.isSuccess ? $0.response?.holdID : nil }) { keys[id, default: []].insert(key) }
    }
    return keys.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map { id, keys in
      Violation("shared_hold", "\(keys.count) keys led to the same hold", keys: keys.sorted(), ids: [id])
    }
  }
}
