import Postgres

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
}
