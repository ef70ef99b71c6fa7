import Crypto
import FoundationEssentials
import Secrets

/// Requires a bearer token (RFC 6750) in the requests of a route.
struct BearerAuthentication: Redacted {
  /// The routes that a token gives access to.
  enum Realm: String, CaseIterable {
    case admin, metrics
  }

  private let realm: Realm
  private let expected: SHA256.Digest?
  private let wrongTokens: WrongTokens

  /// - Parameter token: with nil or an empty token, every request is refused.
  init(_ realm: Realm, token: Secret?, wrongTokens: WrongTokens) {
    self.realm = realm
    self.wrongTokens = wrongTokens
    expected = token.map { $0.revealed() }.flatMap { $0.isEmpty ? nil : SHA256.hash(data: Data($0.utf8)) }
  }

  /// The route, with this check before its handler.
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
    guard let expected, let given = request.headers.value(ofLowercased: "authorization").flatMap(bearerToken) else {
      return .refused
    }
    // Digests have one length and are compared in constant time, so the time reveals neither the token nor its length.
    return SHA256.hash(data: Data(given)) == expected ? .allowed : .wrongToken
  }

  private var problem: Problem {
    Problem(
      .unauthorized, "Send the \(realm.rawValue) token as Authorization: Bearer <token>.",
      headers: [("WWW-Authenticate", "Bearer")])
  }
}
