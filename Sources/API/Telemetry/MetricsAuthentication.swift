import Secrets

/// Requires METRICS_TOKEN in the requests of a route.
struct MetricsAuthentication: Redacted {
  private let token: ExpectedToken
  private let wrongTokens: WrongTokens

  init(token: Secret, wrongTokens: WrongTokens) {
    self.token = ExpectedToken(token)
    self.wrongTokens = wrongTokens
  }

  /// The route, with this check before its handler.
  func guarding(_ route: Route) -> Route {
    Route(
      route.method, route.path.text,
      callback: { request, respond in
        guard let given = request.bearerToken else { throw Self.problem }
        if token.matches(given) { return try route.handle(request, respond) }
        Task {
          await wrongTokens.record(.metrics)
          respond { throw Self.problem }
        }
      })
  }

  private static var problem: Problem { .unauthorized("Send the metrics token as Authorization: Bearer <token>.") }
}
