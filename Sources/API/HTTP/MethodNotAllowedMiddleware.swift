import HTTPTypes
import Hummingbird

/// Tells a wrong method (405, with `Allow`) from a wrong address (404), which are the same to the router.
///
/// To be added after all routes: then it stands only before what no route took.
struct MethodNotAllowedMiddleware: RouterMiddleware {
  private let routes: [(path: String, method: HTTPRequest.Method)]

  init(routes: [Router<AppContext>.RouteDescription]) {
    self.routes = routes.map { ($0.path.description, $0.method) }
  }

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let allowed = methods(for: request.uri.path)
    guard allowed.isEmpty else { throw Problem.methodNotAllowed(request.method, allowed: allowed) }
    return try await next(request, context)
  }

  private func methods(for path: String) -> [HTTPRequest.Method] {
    let methods = routes.filter { PathTemplate.matches($0.path, path) }.map(\.method)
    // A resource that can be read also tells its head.
    return methods.contains(.get) ? methods + [.head] : methods
  }
}
