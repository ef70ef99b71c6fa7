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
  package let totalStock: Int32
  /// What could be held when this was read; lapsed holds count, released by a worker or not.
  package let availableStock: Int32
  package let status: Status
  /// When the sale begins; nil for one that always has.
  package let startsAt: Timestamp?
  /// When the sale ends; nil for one that never does.
  package let endsAt: Timestamp?
  package let maximumQuantityPerHold: Int32?
  /// Units that one customer may have in active holds and live orders.
  package let maximumPerCustomer: Int32?

  /// By the database's clock.
  package enum Status: String, Sendable, CaseIterable {
    case upcoming
    case onSale = "on_sale"
    /// Nothing is left, but some units are only held, or in unpaid orders.
    case reservedOut = "reserved_out"
    case soldOut = "sold_out"
    case ended
  }
}
