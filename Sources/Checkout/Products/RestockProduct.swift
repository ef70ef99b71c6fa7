import Postgres

/// Changes a product's total stock. A cut takes only available units, because units in holds and orders are committed.
///
/// Returns one outcome, or none for an unknown product.
package struct RestockProduct: PreparedStatement {
  package static let name = "restock_product"
  package static let sql = """
    select * from flashsale.restock_product($1::integer, $2::integer, $3::text, $4::text, $5::text)
    """

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: an earlier call with the same key made the change.
    case done(isReplay: Bool)
    /// The cut is larger than the available stock.
    case insufficientStock(StockLeft)
    /// The total would be above 2^31 - 1.
    case totalStockTooLarge
    /// Another call used the key before.
    case keyReused
  }

  let productID: Int32
  private let delta: Int32
  var idempotencyKey: String?
  /// For the log of changes.
  var author = ChangeAuthor.commandLine

  /// - Parameters:
  ///   - delta: the change in units, negative for a cut. Not 0.
  ///   - idempotencyKey: 1 to 255 characters. The same call with the same key has one effect.
  package init(productID: Int32, delta: Int32, idempotencyKey: String? = nil) {
    self.productID = productID
    self.delta = delta
    self.idempotencyKey = idempotencyKey
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(productID)
    parameters.append(delta)
    parameters.append(idempotencyKey)
    parameters.append(author.name)
    parameters.append(author.requestID)
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

  /// The outcome in SQL.
  private enum Word: String {
    case done, replayed
    case keyReused = "key_reused"
    case insufficientStock = "insufficient_stock"
    case totalStockTooLarge = "total_stock_too_large"
  }
}
