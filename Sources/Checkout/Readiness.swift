import Logging
import Postgres
import Synchronization

/// Whether a hold could be placed now.
package enum Readiness: Sendable, Equatable {
  case ready
  case notReady(Reason)

  /// The reason why no hold could be placed.
  package struct Reason: Sendable, Equatable {
    /// A sentence for the client.
    package let text: String
    /// A clause for the operator: the setting to change, or the place to look at.
    package let advice: String
  }
}

/// Checks whether a hold could be placed. Concurrent requests share one check, because any client may ask.
struct CheckReadiness: RepeatableUseCase {
  static let isRead = true
  /// Errors stay as they are, because `Readiness.Reason` needs the driver's error.
  static func translating(_ error: any Error) -> any Error { error }

  typealias Outcome = Readiness

  enum Request { case whole }

  func lane(of request: Request) -> Request { request }

  func execute(_ requests: [Request], lane: Request, on connection: isolated Connection) throws -> [Readiness] {
    let readiness = try check(on: connection)
    return requests.map { _ in readiness }
  }

  private func check(on connection: isolated Connection) throws -> Readiness {
    let session = try connection.run(ReadSession())[0]
    if let reason = session.reason { return .notReady(reason) }
    guard try SchemaStatus.read(on: connection).isCurrent else {
      return .notReady(
        Readiness.Reason(
          text: "The database's schema is not the one that this server needs.",
          advice: "run `flashsale migrate` in this server's version"))
    }
    _ = try connection.run(CheckCommit())
    return .ready
  }

  private struct Session {
    let isolation: String
    let isReadOnly: Bool
    let isStandby: Bool
    let role: String
    /// A function that the role may not call. Nil when the role may call all.
    let deniedFunction: String?

    var reason: Readiness.Reason? {
      if isStandby {
        return Readiness.Reason(
          text: "The database is a standby, which is read-only.",
          advice: "name all hosts in DATABASE_URL, with target_session_attrs=read-write")
      }
      if isReadOnly {
        return Readiness.Reason(
          text: "The database session is read-only.",
          advice:
            "set default_transaction_read_only = off for the role \(role): a pooler ignores the server's own settings")
      }
      if isolation != "read committed" {
        return Readiness.Reason(
          text: "The database session has the isolation \(isolation), not read committed.",
          advice:
            "set default_transaction_isolation = 'read committed' for the role \(role): a pooler ignores the server's "
            + "own settings")
      }
      if let deniedFunction {
        return Readiness.Reason(
          text: "The server's role may not call the function \(deniedFunction).",
          advice: "run `flashsale migrate --server-role \(role)` as the owner of the schema")
      }
      return nil
    }
  }

  private struct ReadSession: PreparedStatement {
    static let name = "read_session"
    static let sql = """
      select current_setting('transaction_isolation'), current_setting('transaction_read_only')::boolean,
             pg_is_in_recovery(), quote_ident(current_user), (
        select min(p.proname::text)
        from pg_proc p
        where p.pronamespace = to_regnamespace('flashsale') and p.prosecdef
          and not has_function_privilege(p.oid, 'execute'))
      """
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws -> Session {
      Session(
        isolation: try row.decode(), isReadOnly: try row.decode(), isStandby: try row.decode(), role: try row.decode(),
        deniedFunction: try row.decodeIfPresent())
    }
  }

  private struct CheckCommit: PreparedStatement {
    static let name = "check_readiness"
    static let sql = "select 1 from flashsale.check_readiness()"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }
}

extension Readiness.Reason {
  /// Describes the error of a check.
  init(_ error: any Error) {
    switch error {
    case PostgresError.server(let error) where error.sqlState == "42501":
      self.init(
        text: "The server's role has no access to the schema.",
        advice: "run `flashsale migrate --server-role` as the owner, for the role in DATABASE_URL: \(error.message)")
    case PostgresError.server(let error) where error.isLockTimeout:
      self.init(
        text: "A table is locked by another session.",
        advice: "see pg_locks and pg_blocking_pids() for the session that has it")
    case PostgresError.server(let error) where error.sqlState == "25006":
      self.init(
        text: "The database is read-only.",
        advice: "set default_transaction_read_only = off, or name the primary in DATABASE_URL")
    case PostgresError.server(let error):
      self.init(text: "The database refuses to commit (SQLSTATE \(error.sqlState)).", advice: "\(error.message)")
    case PostgresError.cannotConnect(let message):
      self.init(text: "The database cannot be reached.", advice: "check DATABASE_URL and the database: \(message)")
    // The server has not checked the schema yet, or it has shut down.
    case PostgresError.poolUnavailable(let message):
      self.init(text: "The server does not use its database now.", advice: "see the earlier log lines: \(message)")
    default: self = .noAnswer
    }
  }

  static let noAnswer = Readiness.Reason(
    text: "The database does not confirm a commit in time.",
    advice: "check its load, its disk and the standbys in synchronous_standby_names")
}

/// Logs each change of the readiness.
final class ReadinessLog: Sendable {
  private let logger: Logger
  private let last = Mutex(Readiness.ready)

  init(_ logger: Logger) {
    self.logger = logger
  }

  func note(_ readiness: Readiness) {
    let hasChanged = last.withLock { last in
      defer { last = readiness }
      return last != readiness
    }
    guard hasChanged else { return }
    switch readiness {
    case .ready: logger.notice("ready again")
    case .notReady(let reason):
      logger.warning("not ready", metadata: ["reason": "\(reason.text)", "advice": "\(reason.advice)"])
    }
  }
}
