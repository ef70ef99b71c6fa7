import Postgres
import Time

/// Revokes a key and ends its sessions. Returns when, or no row when no key has this name.
package struct RevokeKey: PreparedStatement {
  package static let name = "revoke_key"
  package static let sql = "select * from flashsale.revoke_key($1::text, $2::text, $3::text)"

  private let keyName: String
  private let author: ChangeAuthor

  package init(name: String, author: ChangeAuthor = .commandLine) {
    keyName = name
    self.author = author
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(keyName)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Timestamp { try row.decode() }
}
