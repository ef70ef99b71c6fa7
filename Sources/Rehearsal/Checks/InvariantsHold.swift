/// Whether the server's own audit finds its data in order.
enum InvariantsHold {
  static func check(_ evidence: Evidence) -> CheckResult {
    let question = "Are the server's own invariants true?"
    guard let invariants = evidence.readings.invariants else {
      return CheckResult(
        name: "invariants_hold", question: question, summary: "The invariants could not be read.",
        violations: [.init("invariants_unknown", "GET /api/admin/invariants brought no result")])
    }
    return CheckResult(
      name: "invariants_hold", question: question,
      summary: "\(invariants.count { $0.ok }) of \(invariants.count) invariants are true.",
      violations: invariants.filter { !$0.ok }.map {
        .init($0.name, "\($0.violations) rows break it: \($0.description)")
      })
  }
}
