import Testing

extension APIClient {
  static let endpointsPath = "/api/admin/webhook-endpoints"

  /// Creates an endpoint. By default nothing listens there, so each delivery fails at once.
  ///
  /// - Returns: its id and its secret.
  func createEndpoint(
    _ url: String = "http://127.0.0.1:1/hooks", events: String = "order.*"
  ) async throws -> (id: String, secret: String) {
    let answer = try await send("POST", Self.endpointsPath, #"{"url":"\#(url)","events":["\#(events)"]}"#)
    try #require(answer.status == 201, "\(answer)")
    return (try #require(answer.members["id"] as? String), try #require(answer.members["secret"] as? String))
  }

  /// Buys a unit.
  ///
  /// - Returns: the id of the order.
  func buy(_ product: Int) async throws -> String {
    let hold: Hold = try await reserve(1, of: product).decode()
    _ = try await order(hold.holdId)
    _ = try await pay(hold.orderID, key: "pays \(hold.orderID)")
    return hold.orderID
  }

  /// The entries of a list, such as `deliveries`.
  func list(_ path: String, _ member: String) async throws -> [[String: Any]] {
    let answer = try await send("GET", path)
    try #require(answer.status == 200, "\(answer)")
    return try #require(answer.members[member] as? [[String: Any]])
  }
}

extension ServerProcess {
  /// Lets endpoints have `http`, and addresses of this machine.
  static let privateEndpoints = ["EVENT_WEBHOOKS_ALLOW_PRIVATE": "true"]
}
