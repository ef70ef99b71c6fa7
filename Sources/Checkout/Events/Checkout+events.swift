import FoundationEssentials
import Secrets
import Time

/// Events, the endpoints that they are sent to, and the feed. All calls throw `CheckoutError`.
extension Checkout {
  // MARK: Endpoints

  package enum EndpointCreation: Sendable {
    /// - Parameter secret: `whsec_` and base64. It is not shown again.
    case created(WebhookEndpoint, secret: Secret)
    /// There are as many endpoints as there can be.
    case tooMany
  }

  /// Creates an endpoint. See `CreateEndpoint`.
  package func createEndpoint(_ endpoint: CreateEndpoint, by author: ChangeAuthor) async throws -> EndpointCreation {
    var endpoint = endpoint
    endpoint.author = author
    let outcome = try await call { [endpoint] in try await $0.transactOnce(endpoint)[0] }
    switch outcome {
    case .created(let at): return .created(endpoint.endpoint(createdAt: at), secret: endpoint.secret)
    case .tooMany: return .tooMany
    }
  }

  /// All endpoints, the oldest first.
  package func endpoints() async throws -> [WebhookEndpoint] {
    try await call(isRead: true) { try await $0.execute(ListEndpoints()) }
  }

  /// Nil for an unknown endpoint.
  package func endpoint(_ id: EndpointID) async throws -> WebhookEndpoint? {
    try await call(isRead: true) { try await $0.execute(ListEndpoints(id: id)).first }
  }

  /// Changes an endpoint. See `UpdateEndpoint`. Nil for an unknown endpoint.
  package func updateEndpoint(_ changes: UpdateEndpoint, by author: ChangeAuthor) async throws -> WebhookEndpoint? {
    defer { eventSignal.ring() }
    var changes = changes
    changes.author = author
    return try await call { [changes] in try await $0.transactOnce(changes).first }
  }

  /// Deletes an endpoint and its pending deliveries. Returns whether there was one. See `DeleteEndpoint`.
  package func deleteEndpoint(_ id: EndpointID, by author: ChangeAuthor) async throws -> Bool {
    try await call { try await DeleteEndpoint(id: id, author: author).run(on: $0) }
  }

  /// Gives an endpoint a new secret, and returns it. Both sign for 24 hours. Nil for an unknown endpoint.
  package func rotateSecret(of id: EndpointID, by author: ChangeAuthor) async throws -> Secret? {
    let rotation = RotateEndpointSecret(id: id, author: author)
    return try await call { try await $0.transactOnce(rotation)[0] } ? rotation.secret : nil
  }

  /// Sends an event `endpoint.test` to this endpoint only. Returns its id, or nil for an unknown endpoint.
  package func testEndpoint(_ id: EndpointID) async throws -> EventID? {
    defer { eventSignal.ring() }
    return try await call { try await $0.transact(TestEndpoint(id: id)).first }
  }

  /// Sends to an endpoint what it missed since a time: deliveries that failed, and events that were never sent to it. Enables
  /// it. Returns after about three seconds, even if events are left: another call goes on. See `RecoverEndpoint`.
  ///
  /// - Returns: nil for an unknown endpoint.
  package func recover(
    _ id: EndpointID, since: Timestamp, by author: ChangeAuthor
  ) async throws -> RecoverEndpoint.Progress? {
    defer { eventSignal.ring() }
    return try await call { try await RecoverEndpoint(id: id, since: since, author: author).run(on: $0) }
  }

  // MARK: Events

  /// A page of events, oldest first. Events are kept for 30 days.
  ///
  /// - Parameters:
  ///   - type: lists only events of this type; nil for all.
  ///   - productID: lists only events of this product; nil for all.
  ///   - cursor: the page begins after it; nil for the first page.
  package func events(
    type: EventType? = nil, productID: Int32? = nil, from cursor: EventPage.Cursor? = nil
  ) async throws -> EventPage {
    try await call {
      try await ListEvents(type: type, productID: productID, cursor: cursor).page(from: $0)
    }
  }

  /// The types that are recorded for clients that poll `events`, as in `EventPattern`. Empty while the feed is off.
  package func feed() async throws -> [String] {
    try await call(isRead: true) { try await $0.execute(ReadEventFeed())[0] }
  }

  /// Sets these types. The feed is off with an empty list.
  package func setFeed(_ events: [EventPattern], by author: ChangeAuthor) async throws {
    _ = try await call { try await $0.transactOnce(SetEventFeed(events: events, author: author)) }
  }

  // MARK: Deliveries

  /// A page of deliveries, newest first. Nil lists all.
  ///
  /// - Parameter cursor: the page begins after it; nil for the first page.
  package func deliveries(
    to endpointID: EndpointID? = nil, status: DeliveryRecord.Status? = nil, of eventID: EventID? = nil,
    from cursor: DeliveryPage.Cursor? = nil
  ) async throws -> DeliveryPage {
    try await call(isRead: true) {
      try await ListDeliveries(endpointID: endpointID, status: status, eventID: eventID, cursor: cursor).page(from: $0)
    }
  }

  /// Sends an event again. The receivers are its earlier endpoints, and the endpoints that want its type now.
  ///
  /// - Returns: the number of these endpoints. Nil for an unknown event.
  package func redeliver(_ id: EventID, by author: ChangeAuthor) async throws -> Int32? {
    defer { eventSignal.ring() }
    return try await call { try await $0.transact(RedeliverEvent(id: id, author: author)).first }
  }

  /// Leases deliveries that are due, for 30 seconds. Another server may claim them after that. A claim whose answer is lost
  /// leases them in vain for that time.
  ///
  /// - Parameters:
  ///   - leaseID: a new one for each claim.
  ///   - limit: 1 to 10,000.
  /// - Returns: `untilNext` is the time until the next delivery is due, zero when some are due now, and nil when none is
  ///   pending.
  package func claimDeliveries(
    leaseID: UUID, limit: Int32
  ) async throws -> (deliveries: [Delivery], untilNext: Duration?) {
    let answers = try await call { try await $0.transact(ClaimDeliveries(leaseID: leaseID, limit: limit)) }
    guard case .end(let untilNext, let hasEndpoints) = answers.last else {
      throw UnknownValue(description: "claim_deliveries returned no end")
    }
    eventSignal.note(hasEndpoints: hasEndpoints)
    let deliveries = answers.compactMap { answer -> Delivery? in
      if case .delivery(let delivery) = answer { delivery } else { nil }
    }
    return (deliveries, untilNext)
  }

  /// Records the results of deliveries. A result counts only while its lease stands. Recording it again has no effect.
  package func recordDeliveries(_ results: [DeliveryResult], leaseID: UUID) async throws {
    if results.isEmpty { return }
    _ = try await call { try await $0.transactOnce(RecordDeliveries(leaseID: leaseID, results: results)) }
  }
}
