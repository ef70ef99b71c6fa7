/// What a kill did to the buyers.
package struct Recovery: Codable, Equatable, Sendable {
  /// The start of the command.
  package var killed: Microseconds
  package var exitCode: Int32?
  /// Attempts without a usable response, until the recovery.
  package var failures: Int
  /// From the start of the command to the first response that the server decided after the first failure. Nil if none
  /// came before the next kill or the end. Without a failure it is 0: no buyer noticed the kill.
  package var time: Microseconds?

  /// One for each kill.
  static func all(_ evidence: Evidence) -> [Recovery] {
    let attempts = evidence.requests.flatMap(\.attempts)
    let kills = evidence.kills
    return kills.indices.map { index in
      let start = kills[index].started
      let end = index + 1 < kills.count ? kills[index + 1].started : Microseconds.max
      let since = attempts.filter { $0.ended >= start && $0.sent < end }
      let failures = since.filter { !$0.isServed }
      guard let first = failures.map(\.ended).min() else {
        return Recovery(killed: start, exitCode: kills[index].exitCode, failures: 0, time: 0)
      }
      let recovered = since.filter { $0.isServed && $0.sent >= first }.map(\.ended).min()
      return Recovery(
        killed: start, exitCode: kills[index].exitCode,
        failures: failures.count { recovered == nil || $0.ended <= recovered ?? 0 },
        time: recovered.map { $0 - start })
    }
  }
}
