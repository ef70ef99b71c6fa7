import Postgres
import Time

/// Something with a finite stock.
public struct Product: Sendable, Equatable {
  public let id: Int32
  public let name: String
  /// In minor units of the currency.
  public let price: Int32
  /// ISO 4217.
  public let currency: String
  public let totalStock: Int32
  /// What could be held when this was read; lapsed holds count, released by a worker or not.
  public let availableStock: Int32
  public let status: Status
  /// When the sale begins; nil for one that always has.
  public let startsAt: Timestamp?
  /// When the sale ends; nil for one that never does.
  public let endsAt: Timestamp?
  public let maximumQuantityPerHold: Int32?
  /// Units that one customer may have in active holds and live orders.
  public let maximumPerCustomer: Int32?

  /// By the database's clock.
  public enum Status: String, Sendable, CaseIterable {
    case upcoming
    case onSale = "on_sale"
    /// Nothing is left, but some units are only held, or in unpaid orders.
    case reservedOut = "reserved_out"
    case soldOut = "sold_out"
    case ended
  }
}
