import Logging
import Synchronization

/// Records log lines.
package final class LogRecorder: Sendable {
  package struct Line: Sendable {
    package let message: String
    package let metadata: [String: String]
  }

  private struct Handler: LogHandler {
    let recorder: LogRecorder
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let all = metadata.merging(event.metadata ?? [:]) { $1 }
      recorder.recorded.withLock {
        $0.append(Line(message: "\(event.message)", metadata: all.mapValues { "\($0)" }))
      }
    }
  }

  private let recorded = Mutex<[Line]>([])

  package init() {}

  package var lines: [Line] { recorded.withLock { $0 } }

  package var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }
}
