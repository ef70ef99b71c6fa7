import Checkout

/// `GET /api/admin/audit-log`: the changes by operators, newest first.
struct AuditLogRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] { [AdminRoute(.GET, "/api/admin/audit-log", .read, list)] }

  @Sendable private func list(_ request: Request) async throws -> Response {
    var query = QueryReader(request)
    let productID = query.productID()
    let cursor = query.cursor { AdminChangePage.Cursor(text: $0) }
    try query.requireValid()
    let page = try await checkout.adminChanges(of: productID, from: cursor)
    return .json { json in
      json.add("changes", page.changes) { $1.add($0) }
      json.add("next_cursor", page.next?.text)
    }
  }
}

extension JSONObject {
  fileprivate mutating func add(_ change: AdminChange) {
    add("id", change.id)
    add("at", change.at.rfc3339)
    add("who", change.who)
    add("action", change.action)
    add("product_id", change.productID)
    add("from", json: change.from)
    add("to", json: change.to)
    add("request_id", change.requestID)
  }
}
