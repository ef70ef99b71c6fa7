import Checkout
import Secrets
import Time

/// `POST`, `GET` and `DELETE /api/admin/session`: the session of a browser.
///
/// A page cannot read the cookie, and so cannot reveal it. It never keeps the key.
struct SessionRoutes {
  static let path = "/api/admin/session"

  let checkout: Checkout
  let authentication: AdminAuthentication
  let ownPages: OwnPages

  var routes: [Route] { [Route(.POST, Self.path, signIn)] }

  /// Any key may ask for its own session and end it.
  static func guarded(checkout: Checkout, ownPages: OwnPages) -> [AdminRoute] {
    [
      AdminRoute(.GET, path, .read) { _, admin in .json { $0.add(admin.name, admin.scope, admin.sessionEndsAt) } },
      AdminRoute(.DELETE, path, .read) { request in
        if let token = SessionCookie.token(of: request) { try await checkout.closeSession(token: token) }
        return Response(noContent: SessionCookie.clearing(isSecure: ownPages.isSecure(request)))
      },
    ]
  }

  @Sendable private func signIn(_ request: Request) async throws -> Response {
    try ownPages.checkChange(request)
    let session = try await authentication.openSession(request.decode(SignInBody.self).key)
    let headers = SessionCookie.setting(session.token, isSecure: ownPages.isSecure(request))
    return .json(status: .created, headers: .created(Self.path) + headers) {
      $0.add(session.admin.name, session.admin.scope, session.admin.sessionEndsAt)
    }
  }
}

struct SignInBody: RequestBody {
  /// Longer than any key. ADMIN_TOKEN has no limit of its own, but it must fit into a header.
  private static let maximumLength = 4096

  let key: Secret

  enum Member: String, CaseIterable {
    case key
  }

  init(from members: inout MemberReader<Member>) throws {
    key = Secret(try members.require(members.string(.key, maximumLength: Self.maximumLength)))
  }
}

extension JSONObject {
  fileprivate mutating func add(_ name: String, _ scope: AdminScope, _ sessionEndsAt: Timestamp?) {
    add("name", name)
    add("scope", scope.rawValue)
    add("expires_at", sessionEndsAt?.rfc3339)
  }
}
