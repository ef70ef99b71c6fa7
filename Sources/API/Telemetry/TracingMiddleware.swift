import HTTPTypes
import Hummingbird
import Tracing

/// Records a span for each of the router's requests.
struct TracingMiddleware: RouterMiddleware {
  let spans: RequestSpans

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let span = spans.start(request.method) { name in HTTPField.Name(name).flatMap { request.headers[$0] } }
    return try await InstrumentationContext.$current.withValue(span.context) {
      do {
        let response = try await next(request, context)
        RequestSpans.end(span, request.method, context.route, response.status)
        return response
      } catch {
        span.recordError(error)
        RequestSpans.end(span, request.method, context.route, .internalServerError)
        throw error
      }
    }
  }
}
