import Checkout
import EventWebhooks
import Secrets

/// `/api/admin/webhook-endpoints` and the paths below it: the addresses that get events.
struct WebhookEndpointRoutes {
  private static let path = "/api/admin/webhook-endpoints"

  let checkout: Checkout
  let policy: EndpointPolicy

  var routes: [AdminRoute] {
    [
      AdminRoute(.POST, Self.path, .admin, create),
      AdminRoute(.GET, Self.path, .read, list),
      AdminRoute(.GET, Self.path + "/{id}", .read, show),
      AdminRoute(.PATCH, Self.path + "/{id}", .admin, update),
      AdminRoute(.DELETE, Self.path + "/{id}", .admin, delete),
      AdminRoute(.POST, Self.path + "/{id}/rotate-secret", .admin, rotateSecret),
      AdminRoute(.POST, Self.path + "/{id}/test", .operate, test),
      AdminRoute(.POST, Self.path + "/{id}/recover", .operate, recover),
    ]
  }

  @Sendable private func create(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let body = try request.decode(EndpointBody.self)
    let key = try request.idempotencyKey
    try await check(body.url)
    switch try await checkout.createEndpoint(body.creation(key: key), by: admin.author(of: request)) {
    case .created(let endpoint, let secret, let isReplay):
      return .json(status: .created, headers: .created("\(Self.path)/\(endpoint.id.text)", isReplay: isReplay)) {
        $0.add(endpoint, secret: secret)
      }
    case .keyReused: throw Problem.keyReused
    case .tooMany: throw Problem.tooManyEndpoints
    }
  }

  @Sendable private func list(_ request: Request) async throws -> Response {
    let endpoints = try await checkout.endpoints()
    return .json { $0.add(endpoints) }
  }

  @Sendable private func show(_ request: Request) async throws -> Response {
    let id = try request.endpointID
    guard let endpoint = try await checkout.endpoints().first(where: { $0.id == id }) else { throw Problem.noEndpoint }
    return .json { $0.add(endpoint) }
  }

  @Sendable private func update(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let body = try request.decode(EndpointChangesBody.self)
    let id = try request.endpointID
    if let url = body.url { try await check(url) }
    guard let endpoint = try await checkout.updateEndpoint(body.changes(of: id), by: admin.author(of: request)) else {
      throw Problem.noEndpoint
    }
    return .json { $0.add(endpoint) }
  }

  @Sendable private func delete(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    guard try await checkout.deleteEndpoint(request.endpointID, by: admin.author(of: request)) else {
      throw Problem.noEndpoint
    }
    return Response(noContent: [])
  }

  @Sendable private func rotateSecret(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let rotated = try await checkout.rotateSecret(of: request.endpointID, by: admin.author(of: request))
    guard let (endpoint, secret) = rotated else { throw Problem.noEndpoint }
    return .json { $0.add(endpoint, secret: secret) }
  }

  @Sendable private func test(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    switch try await checkout.testEndpoint(request.endpointID) {
    case .sent(let event): return .json(status: .accepted) { $0.add("event_id", event.text) }
    case .disabled: throw Problem.endpointDisabled
    case nil: throw Problem.noEndpoint
    }
  }

  @Sendable private func recover(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let since = try request.decode(RecoverBody.self).since
    switch try await checkout.recover(request.endpointID, since: since) {
    case .recovered(let count): return .json(status: .accepted) { $0.add("deliveries", count) }
    case .disabled: throw Problem.endpointDisabled
    case nil: throw Problem.noEndpoint
    }
  }

  /// - Throws: `Problem.validation` if events must not be sent there.
  private func check(_ url: String) async throws {
    if let problem = await policy.problem(with: url) { throw Problem.validation("/url", problem) }
  }
}

extension Request {
  /// The endpoint in the path.
  ///
  /// - Throws: `Problem.notFound` for a text that is no id of an endpoint.
  fileprivate var endpointID: EndpointID {
    get throws {
      guard let id = EndpointID(text: String(id)) else { throw Problem.noEndpoint }
      return id
    }
  }
}
