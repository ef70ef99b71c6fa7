import Checkout
import Time

/// `POST /api/admin/products`, `PATCH /api/admin/products/{id}` and `POST /api/admin/products/{id}/stock`.
struct AdminProductRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] {
    [
      AdminRoute(.POST, "/api/admin/products", .admin, create),
      AdminRoute(.PATCH, "/api/admin/products/{id}", .operate, update),
      AdminRoute(.POST, "/api/admin/products/{id}/stock", .operate, restock),
    ]
  }

  @Sendable private func create(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let body = try request.decode(CreateBody.self)
    var creation = body.product
    creation.idempotencyKey = try request.idempotencyKey
    switch try await checkout.createProduct(creation, by: admin.author(of: request)) {
    case .created(let product, let isReplay):
      return .json(
        status: .created, headers: .created("/api/products/\(product.id)", isReplay: isReplay)
      ) { $0.add(product) }
    case .keyReused: throw Problem.keyReused
    }
  }

  @Sendable private func update(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let body = try request.decode(UpdateBody.self)
    guard let id = request.productID else { throw Problem.notFound("product") }
    let outcome = try await checkout.updateProduct(body.changes(of: id), by: admin.author(of: request))
    guard let isDone = outcome else { throw Problem.notFound("product") }
    guard isDone else { throw Problem.validation("/ends_at", MemberReader<UpdateBody.Member>.endsBeforeStart) }
    return try await showChanged(id)
  }

  @Sendable private func restock(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let body = try request.decode(RestockBody.self)
    guard let id = request.productID else { throw Problem.notFound("product") }
    let change = RestockProduct(productID: id, delta: body.delta, idempotencyKey: try request.idempotencyKey)
    switch try await checkout.restockProduct(change, by: admin.author(of: request)) {
    case .done(let isReplay): return try await showChanged(id, isReplay: isReplay)
    case .keyReused: throw Problem.keyReused
    case .insufficientStock(let left): throw Problem.insufficientStock(left)
    case .totalStockTooLarge: throw Problem.validation("/delta", "would raise total_stock above \(Int32.max)")
    case nil: throw Problem.notFound("product")
    }
  }

  private func showChanged(_ id: Int32, isReplay: Bool = false) async throws -> Response {
    let product = try await checkout.changedProduct(id)
    return .json(headers: .replayed(isReplay)) { $0.add(product) }
  }
}

struct CreateBody: RequestBody {
  let product: CreateProduct

  enum Member: String, CaseIterable {
    case name, price, currency
    case totalStock = "total_stock"
    case startsAt = "starts_at"
    case endsAt = "ends_at"
    case maximumQuantityPerHold = "max_quantity_per_hold"
    case maximumPerCustomer = "max_per_customer"
  }

  init(from members: inout MemberReader<Member>) throws {
    let name = members.string(.name, maximumLength: CreateProduct.maximumNameLength)
    let price = members.positiveInteger(.price)
    let currency = members.currency(.currency)
    let stock = members.positiveInteger(.totalStock)
    let startsAt = members.ifPresent(.startsAt) { $0.timestamp($1) }
    let endsAt = members.ifPresent(.endsAt) { $0.timestamp($1) }
    if let startsAt, let endsAt, startsAt >= endsAt {
      members.refuse(.endsAt, MemberReader<Member>.endsBeforeStart)
    }
    let maximumQuantityPerHold = members.ifPresent(.maximumQuantityPerHold) { $0.positiveInteger($1) }
    let maximumPerCustomer = members.ifPresent(.maximumPerCustomer) { $0.positiveInteger($1) }
    let valid = try members.require(name, price, currency, stock)
    product = CreateProduct(
      name: valid.0, price: valid.1, currency: valid.2, stock: valid.3, startsAt: startsAt, endsAt: endsAt,
      maximumQuantityPerHold: maximumQuantityPerHold, maximumPerCustomer: maximumPerCustomer)
  }
}

/// A merge patch (RFC 7396) of a product.
struct UpdateBody: RequestBody {
  private let name: String?
  private let price: Int32?
  private let startsAt: UpdateProduct.Change<Timestamp>
  private let endsAt: UpdateProduct.Change<Timestamp>
  private let maximumQuantityPerHold: UpdateProduct.Change<Int32>
  private let maximumPerCustomer: UpdateProduct.Change<Int32>
  private let isPaused: Bool?

  enum Member: String, CaseIterable {
    case name, price, paused
    case startsAt = "starts_at"
    case endsAt = "ends_at"
    case maximumQuantityPerHold = "max_quantity_per_hold"
    case maximumPerCustomer = "max_per_customer"
  }

  init(from members: inout MemberReader<Member>) throws {
    // Every product has a name and a price, so null is invalid.
    name = members.contains(.name) ? members.string(.name, maximumLength: CreateProduct.maximumNameLength) : nil
    price = members.contains(.price) ? members.positiveInteger(.price) : nil
    startsAt = members.change(.startsAt) { $0.timestamp($1) }
    endsAt = members.change(.endsAt) { $0.timestamp($1) }
    maximumQuantityPerHold = members.change(.maximumQuantityPerHold) { $0.positiveInteger($1) }
    maximumPerCustomer = members.change(.maximumPerCustomer) { $0.positiveInteger($1) }
    isPaused = members.contains(.paused) ? members.boolean(.paused) : nil
    try members.requireValid()
  }

  func changes(of productID: Int32) -> UpdateProduct {
    var changes = UpdateProduct(productID: productID)
    changes.productName = name
    changes.price = price
    changes.startsAt = startsAt
    changes.endsAt = endsAt
    changes.maximumQuantityPerHold = maximumQuantityPerHold
    changes.maximumPerCustomer = maximumPerCustomer
    changes.isPaused = isPaused
    return changes
  }
}

struct RestockBody: RequestBody {
  let delta: Int32

  enum Member: String, CaseIterable {
    case delta
  }

  init(from members: inout MemberReader<Member>) throws {
    delta = try members.require(members.difference(.delta))
  }
}

extension MemberReader {
  fileprivate static var endsBeforeStart: String { "must be after starts_at" }
}
