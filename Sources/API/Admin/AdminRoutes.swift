import Checkout
import EventWebhooks

/// `GET /api/admin/invariants`, and all other admin routes but the one that opens a session.
struct AdminRoutes {
  let checkout: Checkout
  let ownPages: OwnPages
  let ticks: Ticks
  let endpointPolicy: EndpointPolicy
  var draining = Draining()

  var routes: [AdminRoute] {
    [
      AdminRoute(.GET, "/api/admin/invariants", .read) { [checkout] _ in
        let audit = try await checkout.audit()
        return .json { $0.add(audit) }
      }
    ]
      + AdminProductRoutes(checkout: checkout).routes
      + AdminPaymentRoutes(checkout: checkout).routes
      + AdminRefundRoutes(checkout: checkout).routes
      + ListRoutes(checkout: checkout, draining: draining).routes
      + AuditLogRoutes(checkout: checkout).routes
      + TicksRoutes(ticks: ticks).routes
      + WebhookEndpointRoutes(checkout: checkout, policy: endpointPolicy).routes
      + EventRoutes(checkout: checkout).routes
      + DeliveryRoutes(checkout: checkout).routes
      + SessionRoutes.guarded(checkout: checkout, ownPages: ownPages)
  }
}

extension Audit {
  /// The body of the response to `GET /api/admin/invariants`.
  package var json: String {
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
