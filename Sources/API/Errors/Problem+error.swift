import Checkout
import Logging
import NIOHTTP1

extension Problem {
  /// What an error is to a client: the one place where errors become HTTP. Logs those that somebody should look into.
  ///
  /// - Parameter logger: knows the request's id.
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
          .databaseUnavailable, "Nothing was done: others were in the way each time. Try again.", retryAfterSeconds: 1)
      case CheckoutError.outcomeUnknown:
        Problem(.outcomeUnknown, "The database did not tell in time what became of it.", retryAfterSeconds: 1)
      case CheckoutError.refused:
        Problem(.internalError, "Nothing was done: the database refused it. The log of the server says more.")
      default: Problem(.internalError, "The request may or may not have taken effect. The log of the server says more.")
      }
    switch kind {
    case .internalError: logger.error("request failed", metadata: ["error": "\(error)", "path": "\(head?.uri ?? "")"])
    case .outcomeUnknown: logger.warning("the outcome of a request is unknown", metadata: ["error": "\(error)"])
    default: break
    }
  }
}
