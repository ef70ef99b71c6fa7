import Checkout
import HTTPTypes
import Hummingbird
import Postgres

/// The one place where errors become HTTP.
struct ProblemMiddleware: RouterMiddleware {
  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch {
      let problem = Self.problem(for: error, method: request.method)
      switch problem.kind {
      case .internalError:
        context.logger.error("request failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
      case .outcomeUnknown:
        context.logger.warning("the outcome of a request is unknown", metadata: ["error": "\(error)"])
      default: break
      }
      let response = problem.response
      return request.method == .head ? response.createHeadResponse() : response
    }
  }

  private static func problem(for error: any Error, method: HTTPRequest.Method) -> Problem {
    switch error {
    case let problem as Problem: problem
    case let error as HTTPError where error.status == .notFound: .notFound("resource")
    case PostgresError.connectionLost where method != .get:
      Problem(.outcomeUnknown, "The connection to the database broke before it answered.", retryAfterSeconds: 1)
    case let error as PostgresError where error.isDatabaseAway:
      Problem(.databaseUnavailable, "Nothing was done. Try again.", retryAfterSeconds: 1)
    case CheckoutError.overloaded: .overloaded
    case CheckoutError.shuttingDown:
      Problem(.shuttingDown, "Nothing was done. Another server will take the request.", retryAfterSeconds: 1)
    default: Problem(.internalError, "The request may or may not have taken effect. The log of the server says more.")
    }
  }
}
