import Postgres
import Time

/// The operator to whom a key or a session belongs.
package struct Admin: Sendable, Equatable {
  /// The name of the key, or `ADMIN_TOKEN`.
  package let name: String
  package let scope: AdminScope
  /// The end of the session. Nil for a key, which has no end.
  package let sessionEndsAt: Timestamp?

  /// The operator with the server's `ADMIN_TOKEN`, who needs no database.
  package static let withAdminToken = Admin(name: "ADMIN_TOKEN", scope: .admin, sessionEndsAt: nil)

  private init(name: String, scope: AdminScope, sessionEndsAt: Timestamp?) {
    self.name = name
    self.scope = scope
    self.sessionEndsAt = sessionEndsAt
  }

  /// Reads all columns of the row of `find_admin` or `open_session`.
  init(_ row: inout Row) throws {
    self.init(name: try row.decode(), scope: try row.decodeCase(), sessionEndsAt: try row.decodeIfPresent())
  }
}
