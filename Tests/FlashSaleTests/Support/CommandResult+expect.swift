import Testing

extension CommandResult {
  func expectSuccess(at location: SourceLocation = #_sourceLocation) {
    #expect(status == .exited(0), "\(self)", sourceLocation: location)
    #expect(errors == [], "\(self)", sourceLocation: location)
  }

  /// Expects exit code 1 and one error line with the reason, beside the log lines of a server.
  func expectFailure(saying reason: String, at location: SourceLocation = #_sourceLocation) {
    #expect(status == .exited(1), "\(self)", sourceLocation: location)
    let reasons = errors.filter { $0.prefixMatch(of: /\d{4}-\d\d-\d\dT/) == nil }
    #expect(reasons.count == 1, "\(self)", sourceLocation: location)
    if !reason.isEmpty { #expect(reasons.first?.contains(reason) == true, "\(self)", sourceLocation: location) }
  }

  func expectUsageError(at location: SourceLocation = #_sourceLocation) {
    #expect(status == .exited(64), "\(self)", sourceLocation: location)
    #expect(output == [] && !errors.isEmpty, "\(self)", sourceLocation: location)
  }
}
