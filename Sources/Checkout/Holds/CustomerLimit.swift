import Postgres
import Time

/// What a customer who has as many units as one may have can count on.
package struct CustomerLimit: Sendable, Equatable {
  /// Units in active holds and live orders of one customer, at most.
  package let maximum: Int32
  /// When the customer's first hold or unpaid order ends if nobody acts. Nil when none does, and when more units were
  /// asked for than one may ever have.
  package let nextReleaseAt: Timestamp?
  /// How long that is from when this was read.
  package let nextReleaseIn: Duration?
}
