import Postgres

/// The reason why a call has no outcome. A refusal by a use case is an outcome, not an error.
package enum CheckoutError: Error, Equatable {
  /// The server has begun to shut down. Nothing was done.
  case shuttingDown
  /// Too many calls are waiting, or this call has waited too long. Nothing was done.
  case overloaded
  /// The database cannot be reached, or reached a time limit. Nothing was done.
  case databaseAway(reason: String)
  /// The answer was lost, and the outcome could not be found in time. The call may have taken effect.
  case outcomeUnknown(reason: String)
  /// Every attempt ended in a conflict with other transactions. Nothing was done.
  case conflict(reason: String)
  /// The database refused the statement. Nothing was done.
  case refused(reason: String)

  /// Translates an error of the driver. Returns other errors unchanged. No other code translates them.
  ///
  /// - Parameter isRead: whether the call changes nothing. Then a lost answer means only that there is no result.
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

/// A batch was committed, but its outcomes are not known.
struct OutcomeLost: Error {
  let reason: String
}
