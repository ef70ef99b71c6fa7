import Checkout
import HTTPTypes
import Hummingbird
import Postgres

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
    return .json(headers: Self.noStore) { $0.add("products", products) { $1.add($0) } }
  }

  @Sendable private func show(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.productID, let product = try await checkout.product(id) else {
      throw Problem.notFound("product")
    }
    return .json(headers: Self.noStore) { $0.add(product) }
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

extension JSONObject {
  mutating func add(_ product: Product) {
    add("id", product.id)
    add("name", product.name)
    add("price", product.price)
    add("currency", product.currency)
    add("total_stock", product.totalStock)
    add("available_stock", product.availableStock)
    add("status", product.status.rawValue)
    add("starts_at", product.startsAt?.rfc3339)
    add("ends_at", product.endsAt?.rfc3339)
    add("max_quantity_per_hold", product.maximumQuantityPerHold)
    add("max_per_customer", product.maximumPerCustomer)
  }
}
