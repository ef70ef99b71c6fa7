import Telemetry

/// Why the server refuses an event by its signature.
protocol SignatureRefusal {
  /// The word for this reason in logs. Two schemes have no word in common, because `SparseLog` counts by word.
  var reason: String { get }
  /// What is wrong, for the sender.
  var detail: String { get }
}

extension Problem {
  /// The problem for a refused event. It also logs the refusal, at most once in ten seconds for each reason.
  static func invalidSignature(_ refusal: some SignatureRefusal, log: SparseLog) -> Problem {
    log.warning("a payment event was refused", reason: refusal.reason, metadata: ["detail": "\(refusal.detail)"])
    return Problem(.invalidSignature, refusal.detail, reason: refusal.reason)
  }
}
