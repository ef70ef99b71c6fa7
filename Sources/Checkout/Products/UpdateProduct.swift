import Postgres
import Time

/// Changes the name, the price, the times and the limits of a product, or pauses its sale. `RestockProduct` changes the stock.
///
/// Returns whether the change was made, or no row for an unknown product. It is refused when the sale would end before
/// it starts.
package struct UpdateProduct: PreparedStatement {
  package static let name = "update_product"
  package static let sql = """
    select * from flashsale.update_product(
      $1::integer, $2::text[], $3::text, $4::integer, $5::timestamptz, $6::timestamptz, $7::integer, $8::integer,
      $9::boolean, $10::text, $11::text)
    """

  /// The change of an optional property.
  package enum Change<Value: Sendable>: Sendable {
    case unchanged
    /// Nil removes the value.
    case set(Value?)
  }

  package let productID: Int32
  /// 1 to 200 characters. Nil leaves it unchanged.
  package var productName: String?
  /// In minor units of the currency, at least 1. Nil leaves it unchanged. It applies to orders that are placed later.
  package var price: Int32?
  package var startsAt = Change<Timestamp>.unchanged
  package var endsAt = Change<Timestamp>.unchanged
  package var maximumQuantityPerHold = Change<Int32>.unchanged
  /// A customer that has more units already keeps them.
  package var maximumPerCustomer = Change<Int32>.unchanged
  /// While a product is paused, new holds are refused. Existing holds and orders go on. Nil leaves it unchanged.
  package var isPaused: Bool?
  /// For the log of changes.
  package var author = ChangeAuthor.commandLine

  package init(productID: Int32) {
    self.productID = productID
  }

  package func bind(to parameters: inout Parameters) {
    var columns: [String] = []
    func value<Value>(_ change: Change<Value>, _ column: String) -> Value? {
      guard case .set(let value) = change else { return nil }
      columns.append(column)
      return value
    }
    let name = value(productName.map { .set($0) } ?? .unchanged, "name")
    let price = value(price.map { .set($0) } ?? .unchanged, "price")
    let startsAt = value(startsAt, "starts_at")
    let endsAt = value(endsAt, "ends_at")
    let maximumQuantityPerHold = value(maximumQuantityPerHold, "max_quantity_per_hold")
    let maximumPerCustomer = value(maximumPerCustomer, "max_per_customer")
    let isPaused = value(isPaused.map { .set($0) } ?? .unchanged, "is_paused")
    parameters.append(productID)
    parameters.append(columns)
    parameters.append(name)
    parameters.append(price)
    parameters.append(startsAt)
    parameters.append(endsAt)
    parameters.append(maximumQuantityPerHold)
    parameters.append(maximumPerCustomer)
    parameters.append(isPaused)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Bool {
    try row.decode()
  }
}
