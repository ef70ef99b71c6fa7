import Checkout

/// `GET /api/admin/events`, `POST /api/admin/events/{id}/redeliver`, and which events the feed records.
struct EventRoutes {
  let checkout: Checkout

  var routes: [AdminRoute] {
    [
      AdminRoute(.GET, "/api/admin/events", .read, list),
      AdminRoute(.POST, "/api/admin/events/{id}/redeliver", .operate, redeliver),
      AdminRoute(.GET, "/api/admin/event-feed", .read) { [checkout] _ in try await Self.feed(checkout.feed()) },
      AdminRoute(.PUT, "/api/admin/event-feed", .admin, setFeed),
    ]
  }

  @Sendable private func list(_ request: Request) async throws -> Response {
    var query = QueryReader(request)
    let type = query.word("type", EventType.self)
    let productID = query.productID()
    let cursor = query.cursor { EventPage.Cursor(text: $0) }
    try query.requireValid()
    // While the feed is off, no event is recorded. An empty page would make a poller wait for ever.
    guard try await !checkout.feed().isEmpty else { throw Problem.eventFeedOff }
    let page = try await checkout.events(type: type, productID: productID, from: cursor)
    return .json { json in
      json.add("events", page.events) { $1.add($0) }
      json.add("next_cursor", (page.next ?? .start).text)
    }
  }

  @Sendable private func redeliver(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    guard let id = EventID(text: String(request.id)),
      let count = try await checkout.redeliver(id, by: admin.author(of: request))
    else { throw Problem.notFound("event") }
    return .json(status: .accepted) { $0.add("deliveries", count) }
  }

  @Sendable private func setFeed(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let events = try request.decode(EventFeedBody.self).events
    try await checkout.setFeed(events, by: admin.author(of: request))
    return Self.feed(events.map(\.text))
  }

  private static func feed(_ events: [String]) -> Response { .json { $0.add("events", strings: events) } }
}

extension EventPage.Cursor {
  /// Before all events. A poller that got an empty page can go on from it.
  static let start = Self(text: "0-0")!
}
