/// Whether every response is one that the contract names for its request, given what was sent before.
enum ResponsesExplained {
  static func check(_ evidence: Evidence, _ ledger: Ledger) -> CheckResult {
    var violations: [CheckResult.Violation] = []
    for request in evidence.requests {
      for attempt in request.attempts where attempt.status == 500 {
        violations.append(
          .init(
            "internal_error", "a request for \(request.kind.rawValue) got 500", keys: [request.key],
            ids: [request.holdID], times: [attempt.sent, attempt.ended]))
      }
      guard let response = request.response, let reason = reason(request, response, ledger) else { continue }
      violations.append(
        .init(
          "unexplained_response", reason, keys: [request.key], ids: [request.holdID],
          times: [request.firstSent, request.answered]))
    }
    let count = evidence.requests.count { $0.response != nil }
    return CheckResult(
      name: "responses_explained", question: "Is every response one that the contract allows?",
      summary: "\(Text.count(count)) responses, \(Text.count(violations.count)) unexplained.", violations: violations)
  }

  /// Why the contract does not allow a response. Nil if it does.
  private static func reason(_ request: RequestRecord, _ response: SaleResponse, _ ledger: Ledger) -> String? {
    let what =
      "a request for \(request.kind.rawValue) got \(response.status) \(response.problem ?? response.state ?? "")"
    let reservation = request.holdID.flatMap { ledger[$0] }
    let hasLapsed = (request.answered ?? 0) >= (reservation?.earliestLapse ?? 0)
    switch (request.kind, response.status, response.problem) {
    case (.hold, 201, _): return response.quantity == request.template.quantity ? nil : what + " for another quantity"
    case (.hold, 409, "insufficient-stock"), (.order, 201, _), (.payment, 200, _), (.payment, 202, _): return nil
    case (.order, 409, "hold-expired"), (.release, 409, "hold-expired"):
      return hasLapsed ? nil : what + " before the hold's time ran out"
    case (.release, 200, _): return response.state == "released" ? nil : what
    case (.payment, 401, _): return what + ": WEBHOOK_SECRETS are not the server's"
    default: return what
    }
  }
}
