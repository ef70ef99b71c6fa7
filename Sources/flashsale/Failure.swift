import Glibc
import LocalPostgres
import NIOCore
import Postgres

/// An error for an operator: one line with the cause and what to do.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }

  /// Returns a `Failure` for an error whose own description does not say what to do. Returns other errors unchanged.
  static func describing(_ error: any Error) -> any Error {
    switch error {
    // An undefined schema, function or table.
    case PostgresError.server(let error) where ["3F000", "42883", "42P01"].contains(error.sqlState):
      Failure("the database's schema is missing or has another version; run `flashsale migrate`")
    case PostgresError.server(let error) where error.isLockTimeout:
      Failure("\(PostgresError.server(error)); pg_locks and pg_blocking_pids() show the session that has the lock")
    case let error as PostgresError where error.isDatabaseAway:
      Failure("\(error); check DATABASE_URL and that the server is running")
    case let error as IOError where error.errnoCode == EADDRINUSE:
      Failure("the port is in use by another program; choose another one with --port")
    case let error as SocketAddressError.UnknownHost:
      Failure("HOST '\(error.host)' cannot be resolved; check --host")
    case let error as IOError:
      Failure("cannot listen: \(error); check --host and --port")
    default: error
    }
  }
}
