import Checkout
import HTTPTypes
import Hummingbird
import Postgres

/// `GET /api/products` and `GET /api/products/{id}`.
struct ProductRoutes {
  let checkout: Checkout

  func add(to router: RouterGroup<AppContext>) {
    router.get("products", use: list)
  }

  /// What buyers look at until the sale begins, and while it goes on.
  var show: FastRoute {
    FastRoute(.get, "/api/products/{id}") { [checkout] request, reply in
      guard let id = Int32(productID: request.parameter) else { throw Problem.notFound("product") }
      checkout.product(id) { product in
        reply {
          guard let product = try product.get() else { throw Problem.notFound("product") }
          return .json { $0.add(product) }
        }
      }
    }
  }

  @Sendable private func list(_ request: Request, context: AppContext) async throws -> Response {
    let products = try await checkout.products()
    return .json { $0.add("products", products) { $1.add($0) } }
  }
}

extension Int32 {
  /// A product's id in an address, nil when it cannot be one.
  fileprivate init?(productID text: Substring) {
    // Also refuses other ways of writing a number, such as +1 and 01: a resource has one address.
    guard let id = Int32(text), id > 0, String(id).isVerbatim(text) else { return nil }
    self = id
  }
}

extension AppContext {
  /// The product's id in the path, nil when it cannot be one.
  var productID: Int32? { id.flatMap { Int32(productID: $0[...]) } }
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
