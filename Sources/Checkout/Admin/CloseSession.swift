import FoundationEssentials
import Postgres
import Secrets

/// Ends a session. Does nothing when it has ended.
struct CloseSession: PreparedStatement {
  static let name = "close_session"
  static let sql = "select 1 from flashsale.close_session($1::bytea)"

  private let tokenDigest: Data

  init(token: Secret) {
    tokenDigest = SecretDigest.of(token)
  }

  func bind(to parameters: inout Parameters) { parameters.append(tokenDigest) }

  static func decode(_ row: inout Row) throws {}
}
