import Postgres
import Time

/// A change by an operator, as the log has it.
package struct AdminChange: Sendable, Equatable {
  package let id: Int64
  package let at: Timestamp
  package let who: String
  /// The object and what happened to it, such as `product.updated`.
  package let action: String
  /// Nil for a change of a key.
  package let productID: Int32?
  /// The values before and after the change, each as a JSON object. Nil when there were none.
  package let from, to: String?
  /// Nil outside of HTTP.
  package let requestID: String?
}

/// A page of the log, newest first.
package struct AdminChangePage: Sendable {
  package let changes: [AdminChange]
  /// The start of the next page; nil on the last page.
  package let next: Cursor?

  /// The position after the last change of a page. Opaque to clients.
  package struct Cursor: Sendable, Equatable {
    let id: Int64

    init(after change: AdminChange) { id = change.id }

    package var text: String { String(id) }

    /// Nil when the text is no cursor.
    package init?(text: String) {
      guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let id = Int64(text) else {
        return nil
      }
      self.id = id
    }
  }
}

/// Lists changes by operators, newest first, starting after `cursor`.
struct ListAdminChanges: PreparedStatement {
  static let name = "list_admin_changes"
  static let sql = "select * from flashsale.list_admin_changes($1::integer, $2::bigint, $3::integer)"
  static let isCancellable = true

  /// The number of changes on a page. It limits the size of a response.
  static let pageSize = 100

  /// Nil for all products and keys.
  let productID: Int32?
  let cursor: AdminChangePage.Cursor?

  func bind(to parameters: inout Parameters) {
    parameters.append(productID)
    parameters.append(cursor?.id)
    parameters.append(Int32(Self.pageSize + 1))
  }

  static func decode(_ row: inout Row) throws -> AdminChange {
    AdminChange(
      id: try row.decode(), at: try row.decode(), who: try row.decode(), action: try row.decode(),
      productID: try row.decodeIfPresent(), from: try row.decodeIfPresent(), to: try row.decodeIfPresent(),
      requestID: try row.decodeIfPresent())
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func page(from database: Pool) async throws -> AdminChangePage {
    // The query returns one more change than a page has, if there is another page.
    let found = try await database.execute(self)
    let changes = Array(found.prefix(Self.pageSize))
    return AdminChangePage(
      changes: changes, next: found.count > changes.count ? changes.last.map { .init(after: $0) } : nil)
  }
}
