import Postgres

/// Changes a product's total stock. A cut takes only what is available: units in holds and orders are committed.
///
/// Yields one row that says whether it was done, or none for an unknown product.
public struct RestockProduct: PreparedStatement {
  public static let name = "restock_product"
  public static let sql = "select * from restock_product($1::integer, $2::integer)"

  private let productID: Int32
  private let delta: Int32

  /// - Parameter delta: units to add, or to take away when negative.
  public init(productID: Int32, delta: Int32) {
    self.productID = productID
    self.delta = delta
  }

  public func bind(to parameters: inout Parameters) {
    parameters.append(productID)
    parameters.append(delta)
  }

  public static func decode(_ row: inout Row) throws -> Bool {
    try row.decode()
  }
}
