import Postgres
import Time

/// Changes what may be changed of a product while it is on sale. The stock has a call of its own, `RestockProduct`.
///
/// Yields one row that says whether it was done, which it is not when the sale would end before it starts; none for an
/// unknown product.
package struct UpdateProduct: PreparedStatement {
  package static let name = "update_product"
  package static let sql = """
    select * from flashsale.update_product(
      $1::integer, $2::text[], $3::text, $4::integer, $5::timestamptz, $6::timestamptz, $7::integer, $8::integer)
    """

  /// What becomes of something that a product need not have.
  package enum Change<Value: Sendable>: Sendable {
    case unchanged
    /// Nil takes it away.
    case set(Value?)
  }

  package let productID: Int32
  /// As in `CreateProduct`. Nil leaves it as it is.
  package var productName: String?
  /// Holds for orders placed from now on.
  package var price: Int32?
  package var startsAt = Change<Timestamp>.unchanged
  package var endsAt = Change<Timestamp>.unchanged
  package var maximumQuantityPerHold = Change<Int32>.unchanged
  /// Customers who have more already keep it.
  package var maximumPerCustomer = Change<Int32>.unchanged

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
    parameters.append(productID)
    parameters.append(columns)
    parameters.append(name)
    parameters.append(price)
    parameters.append(startsAt)
    parameters.append(endsAt)
    parameters.append(maximumQuantityPerHold)
    parameters.append(maximumPerCustomer)
  }

  package static func decode(_ row: inout Row) throws -> Bool {
    try row.decode()
  }
}
