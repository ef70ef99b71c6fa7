import Checkout
import NIOHTTP1

/// A route below `/api/admin`, with the scope that it needs. `AdminAuthentication` makes it a `Route`.
struct AdminRoute: Sendable {
  typealias Handler = @Sendable (Request, AdminIdentity) async throws -> Response

  let method: HTTPMethod
  let path: String
  let scope: AdminScope
  let handle: Handler

  /// - Parameter scope: the least scope of a key that may use the route.
  init(_ method: HTTPMethod, _ path: String, _ scope: AdminScope, _ handle: @escaping Handler) {
    self.method = method
    self.path = path
    self.scope = scope
    self.handle = handle
  }

  /// A route whose handler does not use the operator.
  init(
    _ method: HTTPMethod, _ path: String, _ scope: AdminScope,
    _ handle: @escaping @Sendable (Request) async throws -> Response
  ) {
    self.init(method, path, scope) { request, _ in try await handle(request) }
  }
}
