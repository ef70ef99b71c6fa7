import Checkout
import HTTPTypes
import Hummingbird
import Logging
import Postgres

extension Problem {
  /// What an error is to a client: the one place where errors become HTTP. Logs those that somebody should look into.
  ///
  /// - Parameter logger: knows the request's id.
  init(_ error: any Error, of method: HTTPRequest.Method, path: String, logger: Logger) {
    self =
      switch error {
      case let problem as Problem: problem
      case let error as HTTPError where error.status == .notFound: .notFound("resource")
      case PostgresError.connectionLost where ![.get, .head].contains(method):
        Problem(.outcomeUnknown, "The database did not tell in time what became of it.", retryAfterSeconds: 1)
      // A conflict that outlived its retries was rolled back each time.
      case PostgresError.server(let error) where error.isConcurrencyFailure:
        Problem(
          .databaseUnavailable, "Nothing was done: others were in the way each time. Try again.", retryAfterSeconds: 1)
      case let error as PostgresError where error.isDatabaseAway:
        Problem(.databaseUnavailable, "Nothing was done. Try again.", retryAfterSeconds: 1)
      case PostgresError.server:
        Problem(.internalError, "Nothing was done: the database refused it. The log of the server says more.")
      case CheckoutError.overloaded: .overloaded
      case CheckoutError.shuttingDown: .shuttingDown
      default: Problem(.internalError, "The request may or may not have taken effect. The log of the server says more.")
      }
    switch kind {
    case .internalError: logger.error("request failed", metadata: ["error": "\(error)", "path": "\(path)"])
    case .outcomeUnknown: logger.warning("the outcome of a request is unknown", metadata: ["error": "\(error)"])
    default: break
    }
  }
}
