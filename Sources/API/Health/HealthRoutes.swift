import Checkout
import HTTPTypes
import Hummingbird
import NIOCore

/// `GET /health/live` and `GET /health/ready`, for whoever restarts servers and spreads requests among them.
struct HealthRoutes {
  let checkout: Checkout
  let draining: Draining

  func add(to router: Router<AppContext>) {
    router.group("health")
      .get("live") { _, _ in Response.json { $0.add("status", "live") } }
      .get("ready") { _, _ in
        if draining.isUnderWay { throw Problem.shuttingDown }
        if case .notReady(let reason) = await checkout.readiness() {
          throw Problem(.databaseUnavailable, reason.text, retryAfterSeconds: 1)
        }
        return Response.json { $0.add("status", "ready") }
      }
  }
}
