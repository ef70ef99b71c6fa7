import Postgres

/// Changes a product's total stock. A cut takes only what is available: units in holds and orders are committed.
///
/// Yields one outcome, or none for an unknown product.
public struct RestockProduct: PreparedStatement {
  public static let name = "restock_product"
  public static let sql = "select * from flashsale.restock_product($1::integer, $2::integer)"

  public enum Outcome: Sendable, Equatable {
    case done
    /// Fewer units are available than were to be taken away.
    case insufficientStock(StockLeft)
    /// The total would be above 2^31 - 1.
    case tooMany
  }

  let productID: Int32
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

  public static func decode(_ row: inout Row) throws -> Outcome {
    let word = try row.decode(String.self)
    if word == "done" { return .done }
    if word == "too_many" { return .tooMany }
    guard let stockLeft = try StockLeft(&row) else { throw UnknownValue(description: "\(word) is no outcome") }
    return .insufficientStock(stockLeft)
  }
}
