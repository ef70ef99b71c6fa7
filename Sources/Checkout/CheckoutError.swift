import Postgres

/// Why the checkout could not carry out a call. What a use case decides is an outcome, which is a value.
package enum CheckoutError: Error, Equatable {
  /// The server has begun to shut down. Nothing was done.
  case shuttingDown
  /// Too many calls are waiting, or this one has waited too long. Nothing was done.
  case overloaded
  /// The database cannot be reached, or takes too long. Nothing was done.
  case databaseAway(reason: String)
  /// The connection broke under the call, and what became of it could not be found out in time.
  case outcomeUnknown(reason: String)
  /// Other transactions were in the way of every attempt. Nothing was done.
  case conflict(reason: String)
  /// The database refused the statement. Nothing was done.
  case refused(reason: String)

  /// What an error of the driver is to a caller: the one place that translates. Other errors stay as they are.
  ///
  /// - Parameter isRead: whether the call has no effect, so that nothing is lost with its response.
  static func translating(_ error: any Error, isRead: Bool) -> any Error {
    switch error {
    case PostgresError.connectionLost where !isRead: outcomeUnknown(reason: "\(error)")
    case PostgresError.server(let refusal) where refusal.isConcurrencyFailure: conflict(reason: "\(error)")
    case let error as PostgresError where error.isDatabaseAway: databaseAway(reason: "\(error)")
    case PostgresError.server: refused(reason: "\(error)")
    case let lost as OutcomeLost: outcomeUnknown(reason: lost.reason)
    default: error
    }
  }
}

extension CheckoutError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .shuttingDown: "the server is shutting down"
    case .overloaded: "too many calls are waiting"
    case .databaseAway(let reason), .outcomeUnknown(let reason), .conflict(let reason), .refused(let reason): reason
    }
  }
}

/// A batch was committed, and the connection does not tell with which outcomes.
struct OutcomeLost: Error {
  let reason: String
}
