import HTTPTypes
import Hummingbird

/// Gives every request its `X-Request-Id`, which its response and the log carry.
struct RequestIDMiddleware: RouterMiddleware {
  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let id = RequestID.ofRequest(with: request.headers[.xRequestID])
    var context = context
    context.logger[metadataKey: "hb.request.id"] = .string(id)
    var response = try await next(request, context)
    response.headers[.xRequestID] = id
    return response
  }
}
