import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Secrets

/// Lets a request pass that carries a token as a bearer token (RFC 6750).
struct BearerAuthentication: RouterMiddleware, Redacted {
  /// What the token opens.
  enum Realm: String, CaseIterable {
    case admin, metrics
  }

  private let realm: Realm
  private let expected: SHA256.Digest?
  private let wrongTokens: WrongTokens

  /// - Parameter token: with nil or an empty one every request is refused.
  init(_ realm: Realm, token: Secret?, wrongTokens: WrongTokens) {
    self.realm = realm
    self.wrongTokens = wrongTokens
    expected = token.map { $0.revealed() }.flatMap { $0.isEmpty ? nil : SHA256.hash(data: Data($0.utf8)) }
  }

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    let problem = Problem(
      .unauthorized, "Send the \(realm.rawValue) token as Authorization: Bearer <token>.",
      headers: [(.wwwAuthenticate, "Bearer")])
    guard let expected, let given = request.headers[.authorization].flatMap(Self.token) else { throw problem }
    // Digests compare in constant time and have one length, so neither the token nor its length leaks.
    guard SHA256.hash(data: given) == expected else {
      await wrongTokens.record(realm)
      throw problem
    }
    return try await next(request, context)
  }

  /// What stands behind the scheme, which is written in whatever case (RFC 9110, section 11.1).
  private static func token(_ authorization: String) -> Data? {
    let scheme: StaticString = "bearer "
    let bytes = authorization.utf8
    guard bytes.prefix(scheme.utf8CodeUnitCount).isWord(scheme) else { return nil }
    return Data(bytes.dropFirst(scheme.utf8CodeUnitCount).drop { $0 == UInt8(ascii: " ") })
  }
}
