import Postgres
import Time

/// Creates a product. All of its stock is available.
///
/// Returns one outcome, or none when `onlyAsFirst` is set and there is any product.
package struct CreateProduct: PreparedStatement {
  package static let name = "create_product"
  package static let sql = """
    select * from flashsale.create_product(
      $1::integer, $2::text, $3::integer, $4::text, $5::integer,
      $6::timestamptz, $7::timestamptz, $8::integer, $9::integer, $10::text, $11::text, $12::text)
    """

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: an earlier call with the same key created the product.
    case created(id: Int32, isReplay: Bool)
    /// Another call used the key before.
    case keyReused
  }

  /// The product of `demo` and of the README's examples.
  package static let demonstration = CreateProduct(
    onlyAsFirst: 1, name: "Hoodie", price: 5000, currency: "USD", stock: 100)

  /// In Unicode scalars.
  package static let maximumNameLength = 200

  private let onlyAsFirst: Int32?
  private let productName: String
  private let price: Int32
  private let currency: String
  private let stock: Int32
  private let startsAt: Timestamp?
  private let endsAt: Timestamp?
  private let maximumQuantityPerHold: Int32?
  private let maximumPerCustomer: Int32?
  /// 1 to 255 characters. The same call with the same key creates one product.
  package var idempotencyKey: String?
  /// For the log of changes.
  package var author = ChangeAuthor.commandLine

  /// - Parameters:
  ///   - onlyAsFirst: the id of the product. With an id, the product is created only if there is no product.
  ///   - name: 1 to 200 characters.
  ///   - price: in minor units of the currency, at least 1.
  ///   - currency: three capital letters, ISO 4217.
  ///   - stock: in units, at least 1.
  ///   - startsAt: the start of the sale; nil for at once.
  ///   - endsAt: the end of the sale, after `startsAt`; nil for never.
  ///   - maximumQuantityPerHold: in units, at least 1; nil for no limit.
  ///   - maximumPerCustomer: units in active holds and live orders of one customer, at least 1; nil for no limit.
  package init(
    onlyAsFirst: Int32? = nil, name: String, price: Int32, currency: String, stock: Int32, startsAt: Timestamp? = nil,
    endsAt: Timestamp? = nil, maximumQuantityPerHold: Int32? = nil, maximumPerCustomer: Int32? = nil
  ) {
    self.onlyAsFirst = onlyAsFirst
    self.productName = name
    self.price = price
    self.currency = currency
    self.stock = stock
    self.startsAt = startsAt
    self.endsAt = endsAt
    self.maximumQuantityPerHold = maximumQuantityPerHold
    self.maximumPerCustomer = maximumPerCustomer
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(onlyAsFirst)
    parameters.append(productName)
    parameters.append(price)
    parameters.append(currency)
    parameters.append(stock)
    parameters.append(startsAt)
    parameters.append(endsAt)
    parameters.append(maximumQuantityPerHold)
    parameters.append(maximumPerCustomer)
    parameters.append(idempotencyKey)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Outcome {
    let word = try row.decode(String.self)
    if word == "key_reused" { return .keyReused }
    return .created(id: try row.decode(), isReplay: word == "replayed")
  }
}
