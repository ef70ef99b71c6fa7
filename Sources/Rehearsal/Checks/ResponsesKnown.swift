/// Whether the outcome of every request became known.
enum ResponsesKnown {
  static func check(_ evidence: Evidence) -> CheckResult {
    let unknown = evidence.requests.filter { $0.response == nil }
    let repeated = evidence.requests.count { $0.attempts.count > 1 }
    return CheckResult(
      name: "responses_known", question: "Did every request get its outcome at last?",
      summary: "\(Text.count(evidence.requests.count)) requests, \(Text.count(unknown.count)) without an outcome; "
        + "\(Text.count(repeated)) needed more than one attempt.",
      violations: unknown.map { request in
        .init(
          "no_outcome",
          "a request for \(request.kind.rawValue) got no final response in \(request.attempts.count) attempts; "
            + "the last: "
            + (request.attempts.last.map { $0.lost ?? $0.problem ?? $0.status.map(String.init) ?? "-" } ?? "none"),
          keys: [request.key], ids: [request.holdID], times: [request.intended, request.attempts.last?.ended])
      })
  }
}
