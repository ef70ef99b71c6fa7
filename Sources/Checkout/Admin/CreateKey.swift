import FoundationEssentials
import Postgres
import Secrets

/// Creates a key of an operator.
package struct CreateKey: PreparedStatement {
  package static let name = "create_key"
  package static let sql =
    "select * from flashsale.create_key($1::text, $2::text, $3::bytea, $4::text, $5::text)"

  package enum Outcome: String, Sendable {
    case created
    /// A key with this name is not revoked.
    case nameTaken = "name_taken"
  }

  private let keyName: String
  private let scope: AdminScope
  private let keyDigest: Data
  private let author: ChangeAuthor

  /// - Parameters:
  ///   - name: see `isName`.
  ///   - key: from `AdminSecret.newKey()`. Only its digest is stored.
  package init(name: String, scope: AdminScope, key: Secret, author: ChangeAuthor = .commandLine) {
    keyName = name
    self.scope = scope
    keyDigest = SecretDigest.of(key)
    self.author = author
  }

  /// Whether a key can have this name: 1 to 64 letters, digits, dots, underscores and hyphens of ASCII. `ADMIN_TOKEN` is
  /// another author in the log of changes.
  package static func isName(_ text: String) -> Bool {
    1...64 ~= text.utf8.count && text != Admin.withAdminToken.name
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(keyName)
    parameters.append(scope.rawValue)
    parameters.append(keyDigest)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Outcome { try row.decodeCase() }
}
