import TestSupport
import Testing
import Time

@testable import Checkout
@testable import Postgres

@Suite struct LockTimeoutLogTests {
  @Test func `lock timeouts are logged once in ten seconds with their count`() {
    let recorder = LogRecorder()
    let log = LockTimeoutLog(recorder.logger)
    let start = Moment.now
    func note(_ sqlState: String, after seconds: Double) {
      log.note(
        PostgresError.ServerError(sqlState: sqlState, message: "", detail: nil, hint: nil, statement: "reserve_holds"),
        at: start + .seconds(seconds))
    }
    note("40001", after: 0)
    note("55P03", after: 0)
    for tenth in 1...99 { note("55P03", after: Double(tenth) / 10) }
    note("55P03", after: 10)
    note("55P03", after: 19.9)
    note("57014", after: 21)
    #expect(recorder.lines.map { $0.metadata["count"] } == ["1", "100"], "\(recorder.lines)")
  }
}
