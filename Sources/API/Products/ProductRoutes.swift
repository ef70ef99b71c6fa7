import Checkout

/// `GET /api/products` and `GET /api/products/{id}`.
struct ProductRoutes {
  let checkout: Checkout

  var routes: [Route] {
    [
      Route(.GET, "/api/products/{id}", for: .buyers, callback: show),
      Route(.GET, "/api/products", for: .buyers, list),
    ]
  }

  @Sendable private func show(_ request: Request, respond: @escaping Route.Respond) throws {
    guard let id = request.productID else { throw Problem.notFound("product") }
    checkout.product(id) { product in
      respond {
        guard let product = try product.get() else { throw Problem.notFound("product") }
        return .json { $0.add(product) }
      }
    }
  }

  @Sendable private func list(_ request: Request) async throws -> Response {
    let products = try await checkout.products()
    return .json { $0.add("products", products) { $1.add($0) } }
  }
}

extension Request {
  /// The product's id in the path. Nil if it is not a valid id.
  var productID: Int32? {
    // A resource has one address, so other spellings of a number, such as +1 and 01, are invalid.
    guard let number = Int32(id), number > 0, String(number).isVerbatim(id) else { return nil }
    return number
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
