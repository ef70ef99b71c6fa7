import Postgres

/// Changes a product's total stock. A cut takes only what is available: units in holds and orders are committed.
///
/// Yields one outcome, or none for an unknown product.
package struct RestockProduct: PreparedStatement {
  package static let name = "restock_product"
  package static let sql = "select * from flashsale.restock_product($1::integer, $2::integer, $3::text)"

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: the same call did it before, under the same key.
    case done(isReplay: Bool)
    /// Fewer units are available than were to be taken away.
    case insufficientStock(StockLeft)
    /// The total would be above 2^31 - 1.
    case totalStockTooLarge
    /// Another call came under the same key before.
    case keyReused
  }

  let productID: Int32
  private let delta: Int32
  var idempotencyKey: String?

  /// - Parameters:
  ///   - delta: units to add, or to take away when negative.
  ///   - idempotencyKey: 1 to 255 characters; the same call under the same key has one effect.
  package init(productID: Int32, delta: Int32, idempotencyKey: String? = nil) {
    self.productID = productID
    self.delta = delta
    self.idempotencyKey = idempotencyKey
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(productID)
    parameters.append(delta)
    parameters.append(idempotencyKey)
  }

  package static func decode(_ row: inout Row) throws -> Outcome {
    switch try row.decodeCase(Word.self) {
    case .done: return .done(isReplay: false)
    case .replayed: return .done(isReplay: true)
    case .totalStockTooLarge: return .totalStockTooLarge
    case .keyReused: return .keyReused
    case .insufficientStock:
      guard let stockLeft = try StockLeft(&row) else { throw UnknownValue(description: "a refusal without the stock") }
      return .insufficientStock(stockLeft)
    }
  }

  /// What the database says.
  private enum Word: String {
    case done, replayed
    case keyReused = "key_reused"
    case insufficientStock = "insufficient_stock"
    case totalStockTooLarge = "total_stock_too_large"
  }
}
