import Checkout
import Logging
import NIOHTTP1

extension Problem {
  /// The problem that a client gets for an error. Logs internal errors and unknown outcomes.
  ///
  /// All errors become HTTP responses here.
  ///
  /// - Parameters:
  ///   - head: the head of the request. Nil if the request was refused before its head was complete.
  ///   - logger: has the request's id in its metadata.
  init(_ error: any Error, of head: HTTPRequestHead?, logger: Logger) {
    self =
      switch error {
      case let problem as Problem: problem
      case CheckoutError.overloaded: .overloaded
      case CheckoutError.shuttingDown: .shuttingDown
      case CheckoutError.databaseAway:
        Problem(.databaseUnavailable, "Nothing was done. Try again.", retryAfterSeconds: 1)
      case CheckoutError.conflict:
        Problem(
          .databaseUnavailable, "Nothing was done: every attempt conflicted with other transactions. Try again.",
          retryAfterSeconds: 1)
      case CheckoutError.outcomeUnknown:
        Problem(.outcomeUnknown, "The database did not report the outcome in time.", retryAfterSeconds: 1)
      case CheckoutError.refused:
        Problem(.internalError, "Nothing was done: the database refused a statement. The server's log has the details.")
      default:
        Problem(.internalError, "The request may or may not have taken effect. The server's log has the details.")
      }
    switch kind {
    case .internalError: logger.error("request failed", metadata: ["error": "\(error)", "path": "\(head?.uri ?? "")"])
    case .outcomeUnknown: logger.warning("the outcome of a request is unknown", metadata: ["error": "\(error)"])
    default: break
    }
  }
}
