import Postgres
import Time

/// The limit that refused a customer's request, and when the customer may have units again.
package struct CustomerLimit: Sendable, Equatable {
  /// The largest number of units in one customer's active holds and live orders.
  package let maximum: Int32
  /// When the customer's first hold or unpaid order ends by itself. Nil when the customer has neither, or the request
  /// alone is above the maximum.
  package let nextReleaseAt: Timestamp?
  /// The time until `nextReleaseAt`, from when this was read.
  package let nextReleaseIn: Duration?
}
