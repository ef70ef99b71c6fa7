import Logging
import Synchronization
import Testing

@testable import API

@Suite struct SparseLogTests {
  private final class Lines: Sendable {
    let all = Mutex<[Logger.Metadata]>([])
  }

  private struct Handler: LogHandler {
    let lines: Lines
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.all.withLock { $0.append(event.metadata ?? [:]) } }
  }

  @Test func `each reason is logged once in ten seconds, with how often it was not`() {
    let lines = Lines()
    let log = SparseLog(logger: Logger(label: "test") { _ in Handler(lines: lines) })
    let start = ContinuousClock.now
    func tell(_ reason: String, _ seconds: Double) {
      log.warning("refused", reason: reason, metadata: ["at": "\(seconds)"], now: start + .seconds(seconds))
    }
    for second in [0, 1, 9.9] { tell("one", second) }
    tell("other", 5)
    for second in [10, 19.9, 20] { tell("one", second) }
    tell("other", 15)
    let told = lines.all.withLock { $0.map { "\($0["reason"]!) \($0["at"]!) \($0["not_logged_since_last"]!)" } }
    #expect(told == ["one 0.0 0", "other 5.0 0", "one 10.0 2", "one 20.0 1", "other 15.0 0"])
  }
}
