import Checkout
import EventWebhooks

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
    try await check(body.url)
    switch try await checkout.createEndpoint(body.creation, by: admin.author(of: request)) {
    case .created(let endpoint, let secret):
      return .json(status: .created, headers: .created("\(Self.path)/\(endpoint.id.text)")) {
        $0.add(endpoint, secret: secret)
      }
    case .tooMany: throw Problem.tooManyEndpoints
    }
  }

  @Sendable private func list(_ request: Request) async throws -> Response {
    let endpoints = try await checkout.endpoints()
    return .json { $0.add("webhook_endpoints", endpoints) { $1.add($0) } }
  }

  @Sendable private func show(_ request: Request) async throws -> Response {
    guard let endpoint = try await checkout.endpoint(request.endpointID) else { throw Problem.noEndpoint }
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
    let id = try request.endpointID
    // The endpoint is read first. A failed read after the rotation would lose the secret.
    guard let endpoint = try await checkout.endpoint(id),
      let secret = try await checkout.rotateSecret(of: id, by: admin.author(of: request))
    else { throw Problem.noEndpoint }
    return .json { $0.add(endpoint, secret: secret) }
  }

  @Sendable private func test(_ request: Request) async throws -> Response {
    guard let event = try await checkout.testEndpoint(request.endpointID) else { throw Problem.noEndpoint }
    return .json(status: .accepted) { $0.add("event_id", event.text) }
  }

  @Sendable private func recover(_ request: Request, _ admin: AdminIdentity) async throws -> Response {
    let since = try request.decode(RecoverBody.self).since
    guard
      let progress = try await checkout.recover(request.endpointID, since: since, by: admin.author(of: request))
    else { throw Problem.noEndpoint }
    return .json(status: .accepted) {
      $0.add("pending", progress.pending)
      $0.add("complete", progress.isComplete)
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
