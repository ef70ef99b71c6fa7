import Checkout

/// `GET /api/admin/deliveries`: what became of events, newest first.
struct DeliveryRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] { [AdminRoute(.GET, "/api/admin/deliveries", .read, list)] }

  @Sendable private func list(_ request: Request) async throws -> Response {
    var query = QueryReader(request)
    let endpointID = query.value("endpoint_id", "must be the id of a webhook endpoint") { EndpointID(text: $0) }
    let status = query.word("status", DeliveryRecord.Status.self)
    let eventID = query.value("event_id", "must be the id of an event") { EventID(text: $0) }
    let cursor = query.cursor { DeliveryPage.Cursor(text: $0) }
    try query.requireValid()
    let page = try await checkout.deliveries(to: endpointID, status: status, of: eventID, from: cursor)
    return .json { json in
      json.add("deliveries", page.deliveries) { $1.add($0) }
      json.add("next_cursor", page.next?.text)
    }
  }
}
