import Checkout
import HTTPTypes
import Hummingbird

/// `GET /api/admin/invariants`, and all other calls of operators.
struct AdminRoutes {
  let checkout: Checkout

  func add(to router: RouterGroup<AppContext>) {
    router.get("invariants", use: invariants)
    AdminProductRoutes(checkout: checkout).add(to: router.group("products"))
    AdminPaymentRoutes(checkout: checkout).add(to: router.group("payment-events"))
  }

  @Sendable private func invariants(_ request: Request, context: AppContext) async throws -> Response {
    let audit = try await checkout.audit()
    return .json { $0.add(audit) }
  }
}

extension Audit {
  /// The answer of `GET /api/admin/invariants`.
  public var json: String {
    var object = JSONObject()
    object.add(self)
    return String(buffer: object.finished())
  }
}

extension JSONObject {
  fileprivate mutating func add(_ audit: Audit) {
    add("ok", audit.isClean)
    add("checks", audit.checks) { check, json in
      json.add("name", check.name)
      json.add("description", check.description)
      json.add("ok", check.violations == 0)
      json.add("violations", check.violations)
    }
  }
}
