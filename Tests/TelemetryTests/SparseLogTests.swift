import TestSupport
import Testing
import Time

@testable import Telemetry

@Suite struct SparseLogTests {
  @Test func `each reason is logged once in ten seconds with the suppressed count`() {
    let recorder = LogRecorder()
    let log = SparseLog(logger: recorder.logger)
    let start = Moment.now
    func tell(_ reason: String, _ seconds: Double) {
      log.warning("refused", reason: reason, metadata: ["at": "\(seconds)"], now: start + .seconds(seconds))
    }
    for second in [0, 1, 9.9] { tell("one", second) }
    tell("other", 5)
    for second in [10, 19.9, 20] { tell("one", second) }
    tell("other", 15)
    let told = recorder.lines.map(\.metadata).map { "\($0["reason"]!) \($0["at"]!) \($0["not_logged_since_last"]!)" }
    #expect(told == ["one 0.0 0", "other 5.0 0", "one 10.0 2", "one 20.0 1", "other 15.0 0"])
  }
}
