import Checkout

/// `GET /health/live` and `GET /health/ready`, for process supervisors and load balancers.
struct HealthRoutes {
  let checkout: Checkout
  let draining: Draining

  var routes: [Route] {
    [
      Route(.GET, "/health/live") { _ in .json { $0.add("status", "live") } },
      Route(.GET, "/health/ready") { [checkout, draining] _ in
        if draining.isUnderWay { throw Problem.shuttingDown }
        if case .notReady(let reason) = await checkout.readiness() {
          throw Problem(.databaseUnavailable, reason.text, retryAfterSeconds: 1)
        }
        return .json { $0.add("status", "ready") }
      },
    ]
  }
}
