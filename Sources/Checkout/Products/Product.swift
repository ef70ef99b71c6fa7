import Postgres
import Time

/// Something with a finite stock.
package struct Product: Sendable, Equatable {
  package let id: Int32
  package let name: String
  /// In minor units of the currency.
  package let price: Int32
  /// ISO 4217.
  package let currency: String
  /// In units.
  package let totalStock: Int32
  /// The units that could be held when this was read. The units of lapsed holds count.
  package let availableStock: Int32
  package let status: Status
  /// The start of the sale; nil for a sale without a start.
  package let startsAt: Timestamp?
  /// The end of the sale; nil for a sale without an end.
  package let endsAt: Timestamp?
  /// In units; nil for no limit.
  package let maximumQuantityPerHold: Int32?
  /// The largest number of units in one customer's active holds and live orders; nil for no limit.
  package let maximumPerCustomer: Int32?

  /// By the database's clock.
  package enum Status: String, Sendable, CaseIterable {
    case upcoming
    case onSale = "on_sale"
    /// An operator has stopped new holds.
    case paused
    /// No unit is available, but some units are in active holds or unpaid orders.
    case reservedOut = "reserved_out"
    /// No unit is available, in an active hold or in an unpaid order.
    case soldOut = "sold_out"
    case ended
  }
}
