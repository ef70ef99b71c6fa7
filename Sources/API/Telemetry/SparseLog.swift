import Logging
import Synchronization
import Time

/// Logs what clients can cause as often as they like: at most once in ten seconds for each reason.
final class SparseLog: Sendable {
  static let interval: Duration = .seconds(10)

  private struct Reason {
    var nextTime: Moment
    /// Since the last time it was logged.
    var passedOver = 0
  }

  private let logger: Logger
  private let reasons = Mutex<[String: Reason]>([:])

  init(logger: Logger) {
    self.logger = logger
  }

  /// - Parameters:
  ///   - reason: a word of the program, never input.
  ///   - metadata: what this case adds to it.
  func warning(
    _ message: Logger.Message, reason: String, metadata: Logger.Metadata = [:], now: Moment = .now
  ) {
    let passedOver = reasons.withLock { reasons -> Int? in
      if let known = reasons[reason], now < known.nextTime {
        reasons[reason]!.passedOver += 1
        return nil
      }
      return reasons.updateValue(Reason(nextTime: now + Self.interval), forKey: reason)?.passedOver ?? 0
    }
    guard let passedOver else { return }
    let all: Logger.Metadata = ["reason": "\(reason)", "not_logged_since_last": "\(passedOver)"]
    logger.warning(message, metadata: all.merging(metadata) { $1 })
  }
}
