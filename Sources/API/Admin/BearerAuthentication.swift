import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird

/// Lets a request pass that carries the admin token as a bearer token (RFC 6750).
struct AdminAuthentication: RouterMiddleware {
  private let expected: SHA256.Digest?

  /// - Parameter token: nil or empty lets nobody pass.
  init(token: String?) {
    expected = token.flatMap { $0.isEmpty ? nil : SHA256.hash(data: Data($0.utf8)) }
  }

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    // A scheme is written in whatever case (RFC 9110, section 11.1).
    let scheme = "bearer "
    // Digests compare in constant time and have one length, so neither the token nor its length leaks.
    guard let expected, let given = request.headers[.authorization],
      given.prefix(scheme.count).lowercased() == scheme,
      SHA256.hash(data: Data(given.dropFirst(scheme.count).drop { $0 == " " }.utf8)) == expected
    else { throw Problem.unauthorized }
    return try await next(request, context)
  }
}
