import FoundationEssentials
import Postgres
import Secrets

/// What a request shows in order to be admitted.
package enum AdminCredential: Sendable {
  case key(Secret)
  /// The token in the cookie. A session of `ADMIN_TOKEN` holds only for the same `adminToken`.
  case session(token: Secret, adminToken: Secret?)
}

/// Finds the operator to whom a key or a session belongs. Nil for one that is unknown, revoked or over.
///
/// Each request asks the database, so a revoked key ends at once. All look-ups share one connection, because anybody may
/// send keys.
struct FindAdmin: RepeatableUseCase {
  static let isRead = true
  /// The most look-ups that wait. Others are refused. Operators send few requests, so only attacks reach it.
  static let maximumWaiting = 1000

  typealias Request = AdminCredential
  typealias Outcome = Admin?

  enum Lane { case all }

  func lane(of request: AdminCredential) -> Lane { .all }

  func execute(_ requests: [AdminCredential], lane: Lane, on connection: isolated Connection) throws -> [Admin?] {
    try requests.map { try connection.run(Statement($0)).first }
  }

  private struct Statement: PreparedStatement {
    static let name = "find_admin"
    static let sql = "select * from flashsale.find_admin($1::bytea, $2::bytea, $3::bytea)"

    private var keyDigest: Data?
    private var tokenDigest: Data?
    private var adminTokenCode: Data?

    init(_ credential: AdminCredential) {
      switch credential {
      case .key(let key): keyDigest = SecretDigest.of(key)
      case .session(let token, let adminToken):
        tokenDigest = SecretDigest.of(token)
        adminTokenCode = adminToken.map { SecretDigest.of($0, under: token) }
      }
    }

    func bind(to parameters: inout Parameters) {
      parameters.append(keyDigest)
      parameters.append(tokenDigest)
      parameters.append(adminTokenCode)
    }

    static func decode(_ row: inout Row) throws -> Admin { try Admin(&row) }
  }
}
