/// Why the checkout could not even try. Outcomes of a use case are values, and faults of the database `PostgresError`.
public enum CheckoutError: Error {
  /// The server has begun to shut down; nothing was done.
  case shuttingDown
  /// Too many requests are waiting, or this one has waited too long; nothing was done.
  case overloaded
}
