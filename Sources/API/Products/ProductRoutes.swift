import Checkout
import HTTPTypes
import Hummingbird

/// `GET /api/products` and `GET /api/products/{id}`.
struct ProductRoutes {
  let checkout: Checkout

  func add(to router: RouterGroup<AppContext>) {
    router.group("products")
      .get(use: list)
      .get(":id", use: show)
  }

  @Sendable private func list(_ request: Request, context: AppContext) async throws -> Response {
    let products = try await checkout.products()
    return try .json(["products": products.map(ProductBody.init)], headers: Self.noStore)
  }

  @Sendable private func show(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.productID, let product = try await checkout.product(id) else {
      throw Problem.notFound("product")
    }
    return try .json(ProductBody(product), headers: Self.noStore)
  }

  /// Stock changes by the millisecond; nobody between here and the buyer may keep it.
  private static let noStore: HTTPFields = [.cacheControl: "no-store"]
}

extension AppContext {
  /// The product's id in the path, nil when it cannot be one.
  var productID: Int32? {
    // Also refuses other ways of writing a number, such as +1 and 01: a resource has one address.
    guard let text = parameters.get("id"), let id = Int32(text), id > 0, String(id) == text else { return nil }
    return id
  }
}

struct ProductBody: Encodable {
  private let product: Product

  init(_ product: Product) {
    self.product = product
  }

  private enum CodingKeys: String, CodingKey {
    case id, name, price, currency
    case totalStock = "total_stock"
    case availableStock = "available_stock"
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(product.id, forKey: .id)
    try container.encode(product.name, forKey: .name)
    try container.encode(product.price, forKey: .price)
    try container.encode(product.currency, forKey: .currency)
    try container.encode(product.totalStock, forKey: .totalStock)
    try container.encode(product.availableStock, forKey: .availableStock)
  }
}
