import Checkout
import Time

/// The operator of a request.
struct AdminIdentity: Sendable {
  private let admin: Admin
  private let check: @Sendable () async throws -> Bool

  /// - Parameter check: whether the key or session still holds.
  init(_ admin: Admin, check: @escaping @Sendable () async throws -> Bool) {
    self.admin = admin
    self.check = check
  }

  /// The name of the key, or `ADMIN_TOKEN`.
  var name: String { admin.name }
  var scope: AdminScope { admin.scope }
  /// The end of the session. Nil for a key and for `ADMIN_TOKEN`.
  var sessionEndsAt: Timestamp? { admin.sessionEndsAt }

  /// Whether the key is not revoked, and the session has not ended. Asks the database, unless the request has
  /// `ADMIN_TOKEN`.
  ///
  /// A request is checked before its handler runs. A stream lasts longer, and calls this each second.
  ///
  /// - Throws: `CheckoutError`, for example `databaseAway`. It is then unknown whether the key still holds.
  func isStillValid() async throws -> Bool { try await check() }

  /// The author of the changes that a request makes.
  func author(of request: Request) -> ChangeAuthor { ChangeAuthor(name: name, requestID: request.requestID) }
}
