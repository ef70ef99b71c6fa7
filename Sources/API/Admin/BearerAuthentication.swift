import Crypto
import FoundationEssentials
import Secrets

/// Requires a bearer token (RFC 6750) of the requests of a route.
struct BearerAuthentication: Redacted {
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

  func guarding(_ route: Route) -> Route {
    Route(
      route.method, route.path.text,
      callback: { request, respond in
        switch check(request) {
        case .allowed: try route.handle(request, respond)
        case .refused: throw problem
        case .wrongToken:
          Task {
            await wrongTokens.record(realm)
            respond { throw problem }
          }
        }
      })
  }

  private enum Verdict {
    case allowed, refused, wrongToken
  }

  private func check(_ request: Request) -> Verdict {
    guard let expected, let given = request.headers.value(ofLowercased: "authorization").flatMap(Self.token) else {
      return .refused
    }
    // Digests are compared in constant time and have one length, so neither the token nor its length leaks.
    return SHA256.hash(data: given) == expected ? .allowed : .wrongToken
  }

  private var problem: Problem {
    Problem(
      .unauthorized, "Send the \(realm.rawValue) token as Authorization: Bearer <token>.",
      headers: [("WWW-Authenticate", "Bearer")])
  }

  /// What stands behind the scheme, which is written in whatever case (RFC 9110, section 11.1).
  private static func token(_ authorization: String) -> Data? {
    let scheme: StaticString = "bearer "
    let bytes = authorization.utf8
    guard bytes.prefix(scheme.utf8CodeUnitCount).isWord(scheme) else { return nil }
    return Data(bytes.dropFirst(scheme.utf8CodeUnitCount).drop { $0 == UInt8(ascii: " ") })
  }
}
