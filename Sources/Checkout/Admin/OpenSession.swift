import FoundationEssentials
import Postgres
import Secrets

/// Opens a session. Returns whose session it is, or no row for a key that is unknown or revoked.
struct OpenSession: PreparedStatement {
  static let name = "open_session"
  static let sql = "select * from flashsale.open_session($1::bytea, $2::bytea, $3::bytea, $4::bigint)"

  /// How long a session holds. A working day of an operator ends before that.
  static let timeToLive: Duration = .seconds(12 * 3600)

  private var keyDigest: Data?
  private var adminTokenCode: Data?
  private let tokenDigest: Data

  /// A session of a key.
  init(key: Secret, token: Secret) {
    keyDigest = SecretDigest.of(key)
    tokenDigest = SecretDigest.of(token)
  }

  /// A session of the server's `ADMIN_TOKEN`. The caller has checked the token.
  init(adminToken: Secret, token: Secret) {
    adminTokenCode = SecretDigest.of(adminToken, under: token)
    tokenDigest = SecretDigest.of(token)
  }

  func bind(to parameters: inout Parameters) {
    parameters.append(keyDigest)
    parameters.append(adminTokenCode)
    parameters.append(tokenDigest)
    parameters.append(Int64(Self.timeToLive / .microseconds(1)))
  }

  static func decode(_ row: inout Row) throws -> Admin { try Admin(&row) }
}

/// A session that has just been opened.
package struct OpenedSession: Sendable {
  package static var timeToLive: Duration { OpenSession.timeToLive }

  package let admin: Admin
  /// The value of the cookie.
  package let token: Secret
}
