/// The result of one check of the evidence.
package struct CheckResult: Codable, Sendable {
  /// A contradiction between the evidence and the contract.
  package struct Violation: Codable, Sendable {
    /// A name for this kind of violation, in `snake_case`.
    package var name: String
    package var detail: String
    /// Planned keys, as in the evidence.
    package var keys: [String] = []
    package var ids: [String] = []
    package var times: [Microseconds] = []

    init(
      _ name: String, _ detail: String, keys: [String?] = [], ids: [String?] = [], times: [Microseconds?] = []
    ) {
      self.name = name
      self.detail = detail
      self.keys = keys.compactMap { $0 }
      self.ids = ids.compactMap { $0 }
      self.times = times.compactMap { $0 }
    }

    /// One line with the evidence.
    package var line: String {
      let times = times.map { Text.seconds($0) }
      let parts = [("keys", keys), ("ids", ids), ("times", times)].filter { !$0.1.isEmpty }
      return ([name + ": " + detail] + parts.map { "\($0.0) \($0.1.joined(separator: ", "))" }).joined(separator: "; ")
    }
  }

  package var name: String
  package var question: String
  /// The numbers behind the result.
  package var summary: String
  package var violations: [Violation]

  package var holds: Bool { violations.isEmpty }
}
