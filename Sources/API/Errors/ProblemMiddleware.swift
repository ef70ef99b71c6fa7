import HTTPTypes
import Hummingbird

/// Answers the errors of the router and of all handlers behind it.
struct ProblemMiddleware: RouterMiddleware {
  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch {
      let problem = Problem(error, of: request.method, path: request.uri.path, logger: context.logger)
      let response = problem.answer.response
      return request.method == .head ? response.createHeadResponse() : response
    }
  }
}
