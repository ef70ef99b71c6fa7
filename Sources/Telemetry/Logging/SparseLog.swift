import Logging
import Synchronization
import Time

/// Logs at most one warning in ten seconds for each reason. It is for events that clients can cause at any rate.
package final class SparseLog: Sendable {
  static let interval: Duration = .seconds(10)

  private struct Reason {
    var nextTime: Moment
    /// The number of warnings since the last one that was logged.
    var suppressed = 0
  }

  private let logger: Logger
  private let reasons = Mutex<[String: Reason]>([:])

  package init(logger: Logger) {
    self.logger = logger
  }

  /// - Parameters:
  ///   - reason: a word of the program, never input.
  ///   - metadata: details of this event.
  package func warning(
    _ message: Logger.Message, reason: String, metadata: Logger.Metadata = [:], now: Moment = .now
  ) {
    let suppressed = reasons.withLock { reasons -> Int? in
      if let known = reasons[reason], now < known.nextTime {
        reasons[reason]!.suppressed += 1
        return nil
      }
      return reasons.updateValue(Reason(nextTime: now + Self.interval), forKey: reason)?.suppressed ?? 0
    }
    guard let suppressed else { return }
    let all: Logger.Metadata = ["reason": "\(reason)", "not_logged_since_last": "\(suppressed)"]
    logger.warning(message, metadata: all.merging(metadata) { $1 })
  }
}
