import Logging
import Synchronization

/// Keeps what is logged.
public final class LogRecorder: Sendable {
  public struct Line: Sendable {
    public let message: String
    public let metadata: [String: String]
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

  public init() {}

  public var lines: [Line] { recorded.withLock { $0 } }

  public var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }
}
