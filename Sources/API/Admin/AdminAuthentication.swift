import Checkout
import Secrets

/// Admits operators to admin routes: by ADMIN_TOKEN, by a key, or by the session that a browser opened with one of them.
///
/// ADMIN_TOKEN needs no database. A key or session is looked up for each request. If a key is revoked beside a request,
/// the request counts as the earlier one when its look-up came first: see `revoke_key`.
struct AdminAuthentication: Redacted {
  private let checkout: Checkout
  private let adminToken: Secret?
  private let expected: ExpectedToken?
  private let ownPages: OwnPages
  private let wrongTokens: WrongTokens

  /// - Parameter adminToken: with nil, only keys admit.
  init(checkout: Checkout, adminToken: Secret?, ownPages: OwnPages, wrongTokens: WrongTokens) {
    self.checkout = checkout
    self.adminToken = adminToken
    self.ownPages = ownPages
    self.wrongTokens = wrongTokens
    expected = adminToken.map { ExpectedToken($0) }
  }

  /// The route, with this check before its handler.
  func guarding(_ route: AdminRoute) -> Route {
    Route(route.method, route.path) { request in
      let admin = try await identify(request)
      guard admin.scope >= route.scope else { throw Problem.insufficientScope(needed: route.scope) }
      return try await route.handle(request, admin)
    }
  }

  /// Opens a session for a key or for ADMIN_TOKEN.
  ///
  /// - Throws: `Problem.unauthorized`, `CheckoutError`.
  func openSession(_ key: Secret) async throws -> OpenedSession {
    let session =
      if let adminToken, isAdminToken(key) {
        try await checkout.openSession(adminToken: adminToken)
      } else if AdminSecret.isKey(key.revealed()) {
        try await checkout.openSession(key: key)
      } else {
        OpenedSession?.none
      }
    guard let session else { throw await refusal() }
    return session
  }

  private func identify(_ request: Request) async throws -> AdminIdentity {
    if let token = request.bearerToken {
      if isAdminToken(token) { return AdminIdentity(.withAdminToken) { true } }
      // Other texts cannot be keys, so strangers cannot make the server ask the database with them.
      guard AdminSecret.isKey(token.revealed()), let admin = try await find(.key(token)) else { throw await refusal() }
      return admin
    }
    // `Authorization` of another scheme belongs to a proxy.
    guard let token = SessionCookie.token(of: request) else { throw Self.problem }
    // First, so that pages of other sites cannot make the server ask the database.
    try ownPages.check(request)
    // A session that has ended is not an attack, so the response has no delay.
    guard let admin = try await find(.session(token: token, adminToken: adminToken)) else { throw Self.problem }
    return admin
  }

  private func find(_ credential: AdminCredential) async throws -> AdminIdentity? {
    guard let admin = try await checkout.findAdmin(credential) else { return nil }
    return AdminIdentity(admin) { [checkout] in try await checkout.findAdmin(credential) != nil }
  }

  private func isAdminToken(_ token: Secret) -> Bool { expected?.matches(token) == true }

  /// The problem of a request with a wrong token, after the delay.
  private func refusal() async -> Problem {
    await wrongTokens.record(.admin)
    return Self.problem
  }

  private static var problem: Problem {
    .unauthorized("Send an admin key or the admin token as Authorization: Bearer <token>, or sign in.")
  }
}
