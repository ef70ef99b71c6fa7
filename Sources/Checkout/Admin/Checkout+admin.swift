import Secrets

/// Keys, sessions and the log of changes. All calls throw `CheckoutError`.
extension Checkout {
  /// Finds the operator to whom a key or a session belongs. See `FindAdmin`.
  package func findAdmin(_ credential: AdminCredential) async throws -> Admin? {
    try await useCases.findAdmins(credential)
  }

  /// Opens a session of a key. Nil for a key that is unknown or revoked.
  package func openSession(key: Secret) async throws -> OpenedSession? {
    // Strangers try keys here, too. The look-up has a bound, and calls outside of batches have none.
    guard try await findAdmin(.key(key)) != nil else { return nil }
    let token = AdminSecret.newSessionToken()
    return try await openSession(OpenSession(key: key, token: token), token)
  }

  /// Opens a session of the server's `ADMIN_TOKEN`. The caller has checked the token.
  package func openSession(adminToken: Secret) async throws -> OpenedSession? {
    let token = AdminSecret.newSessionToken()
    return try await openSession(OpenSession(adminToken: adminToken, token: token), token)
  }

  /// After a lost answer nobody has the token. The session then ends by its time to live.
  private func openSession(_ session: OpenSession, _ token: Secret) async throws -> OpenedSession? {
    try await call { try await $0.transact(session).first }.map { OpenedSession(admin: $0, token: token) }
  }

  /// Ends a session. Does nothing when it has ended.
  package func closeSession(token: Secret) async throws {
    _ = try await call { try await $0.transact(CloseSession(token: token)) }
  }

  /// A page of the changes by operators, newest first.
  ///
  /// - Parameters:
  ///   - productID: lists only changes of this product; nil for all.
  ///   - cursor: the page begins after it; nil for the first page.
  package func adminChanges(
    of productID: Int32? = nil, from cursor: AdminChangePage.Cursor? = nil
  ) async throws -> AdminChangePage {
    try await call(isRead: true) { try await ListAdminChanges(productID: productID, cursor: cursor).page(from: $0) }
  }
}
