import Dispatch
import Hummingbird

/// Counts the router's requests and takes their time.
struct MetricsMiddleware: RouterMiddleware {
  let metrics: RequestMetrics

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let start = DispatchTime.now().uptimeNanoseconds
    do {
      let response = try await next(request, context)
      metrics.record(request.method, context.route, response.status, since: start)
      return response
    } catch {
      metrics.record(request.method, context.route, .internalServerError, since: start)
      throw error
    }
  }
}

extension AppContext {
  /// The template of the route that takes the request, such as `/api/products/{id}`; nil when there is none.
  var route: String? {
    let path = endpointPath
    // What the router calls a request that no route takes.
    return path == "NotFound" ? nil : path
  }
}
