import Logging
import Synchronization
import TestSupport
import Testing

@testable import Checkout
@testable import Postgres

@Suite struct LockTimeoutLogTests {
  /// Keeps what is logged.
  private final class Lines: Sendable {
    let all = Mutex<[String]>([])
  }

  private struct Recorder: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      lines.all.withLock { $0.append("\(event.message) \(event.metadata?["count"].map { "\($0)" } ?? "")") }
    }
  }

  @Test func `lock timeouts are logged once in ten seconds with their number`() {
    let lines = Lines()
    let log = LockTimeoutLog(Logger(label: "test") { _ in Recorder(lines: lines) })
    let start = ContinuousClock.now
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
    let told = lines.all.withLock { $0 }
    #expect(told.map { $0.split(separator: " ").last } == ["1", "100"], "\(told)")
  }
}
