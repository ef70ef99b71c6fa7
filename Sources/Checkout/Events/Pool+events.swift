import Postgres
import Secrets
import Time

/// What the commands do with endpoints, events and deliveries, without a server. The calls are those of `Checkout`, and
/// throw `PostgresError`.
extension Pool {
  /// Nil when there are as many endpoints as there can be.
  package func createEndpoint(_ creation: CreateEndpoint) async throws -> (id: EndpointID, secret: Secret)? {
    guard case .created? = try await transactOnce(creation).first else { return nil }
    return (creation.id, creation.secret)
  }

  package func endpoints() async throws -> [WebhookEndpoint] { try await execute(ListEndpoints()) }

  package func updateEndpoint(_ changes: UpdateEndpoint) async throws -> WebhookEndpoint? {
    try await transactOnce(changes).first
  }

  package func deleteEndpoint(_ id: EndpointID) async throws -> Bool {
    try await DeleteEndpoint(id: id, author: .commandLine).run(on: self)
  }

  package func rotateSecret(of id: EndpointID) async throws -> Secret? {
    let rotation = RotateEndpointSecret(id: id, author: .commandLine)
    return try await transactOnce(rotation)[0] ? rotation.secret : nil
  }

  package func testEndpoint(_ id: EndpointID) async throws -> EventID? {
    try await transact(TestEndpoint(id: id)).first
  }

  package func recover(_ id: EndpointID, since: Timestamp) async throws -> RecoverEndpoint.Progress? {
    try await RecoverEndpoint(id: id, since: since, author: .commandLine).run(on: self)
  }

  package func events(
    type: EventType?, productID: Int32?, from cursor: EventPage.Cursor?
  ) async throws -> EventPage {
    try await ListEvents(type: type, productID: productID, cursor: cursor).page(from: self)
  }

  package func redeliver(_ id: EventID) async throws -> Int32? {
    try await transact(RedeliverEvent(id: id, author: .commandLine)).first
  }

  package func deliveries(
    to endpointID: EndpointID?, status: DeliveryRecord.Status?, of eventID: EventID?, from cursor: DeliveryPage.Cursor?
  ) async throws -> DeliveryPage {
    try await ListDeliveries(endpointID: endpointID, status: status, eventID: eventID, cursor: cursor).page(from: self)
  }
}
