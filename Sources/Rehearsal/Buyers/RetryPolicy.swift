/// When a client sends a request again under the same key, as the rules for clients demand.
package enum RetryPolicy {
  private static let shortestDelay = Microseconds.milliseconds(50)
  private static let longestDelay = Microseconds.milliseconds(1000)
  /// A longer `Retry-After` of a server that did not decide the request is not obeyed, so that the run ends.
  private static let longestRetryAfter = Microseconds.seconds(5)

  /// The wait before the next attempt. Nil if the response is final.
  ///
  /// - Parameters:
  ///   - number: the number of attempts so far, at least 1.
  ///   - status: nil if no complete response arrived.
  package static func delay(afterAttempt number: Int, status: Int?, retryAfterSeconds: Int?) -> Microseconds? {
    guard let status else {
      // Without a response the outcome is unknown. The same key tells.
      return min(longestDelay, shortestDelay << min(number - 1, 10))
    }
    guard status >= 500 || status == 429 else { return nil }
    return min(longestRetryAfter, retryAfterSeconds.map { .seconds(Double($0)) } ?? longestDelay)
  }
}
