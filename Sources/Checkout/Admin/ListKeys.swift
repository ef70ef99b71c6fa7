import Postgres
import Time

/// A key of an operator, without the key itself.
package struct AdminKey: Sendable, Equatable {
  package let name: String
  package let scope: AdminScope
  package let createdAt: Timestamp
  /// Nil while the key can be used.
  package let revokedAt: Timestamp?
}

/// Lists all keys in the order of their creation, with those that are revoked.
package struct ListKeys: PreparedStatement {
  package static let name = "list_keys"
  package static let sql = "select * from flashsale.list_keys()"
  package static let isCancellable = true

  package init() {}

  package func bind(to parameters: inout Parameters) {}

  package static func decode(_ row: inout Row) throws -> AdminKey {
    AdminKey(
      name: try row.decode(), scope: try row.decodeCase(), createdAt: try row.decode(),
      revokedAt: try row.decodeIfPresent())
  }
}
