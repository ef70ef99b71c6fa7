import Checkout
import Logging
import Postgres
import Secrets
import Telemetry
import TestSupport
import Testing

@testable import API

/// Which scope each admin route needs. `AdminScopeTests` sends the requests.
@Suite struct AdminRouteTests {
  private let checkout: Checkout
  private let configuration = APIServer.Configuration(webhookVerifier: nil, adminToken: Secret("the-admin-token"))

  init() {
    let connection = ConnectionConfiguration(url: "postgresql://nobody@127.0.0.1:1/nothing")
    checkout = Checkout(
      database: Pool(connection, size: 1), configuration: .init(listener: connection), logger: Logger(label: "test"))
  }

  private var streams: StockStreams { StockStreams(checkout: checkout, maximumCount: 1, limits: .init()) }

  private var ticks: Ticks {
    Ticks(checkout: checkout, streams: streams, figures: LiveFigures(), identity: ServerIdentity(startedAt: .now))
  }

  private var adminRoutes: [AdminRoute] {
    AdminRoutes(
      checkout: checkout, ownPages: OwnPages(proxies: TrustedProxies()), ticks: ticks,
      endpointPolicy: configuration.endpointPolicy
    ).routes
  }

  private var table: RouteTable {
    APIServer.routes(
      checkout: checkout, configuration: configuration, streams: streams, ticks: ticks, draining: Draining(),
      log: SparseLog(logger: Logger(label: "test")))
  }

  @Test func `each route below the admin path needs a scope, but for the one that signs in`() {
    let paths = table.routes.map { "\($0.method.rawValue) \($0.path.text)" }.filter { $0.contains("/api/admin") }
    let guarded = adminRoutes.map { "\($0.method.rawValue) \($0.path)" }
    #expect(Set(guarded).count == guarded.count && paths.count == guarded.count + 1)
    #expect(Set(paths).subtracting(guarded) == ["POST /api/admin/session"])
  }

  @Test func `reads need the scope read, an operator's changes operate, and all others admin`() {
    let operated = [
      "POST /api/admin/webhook-endpoints/{id}/test", "POST /api/admin/webhook-endpoints/{id}/recover",
      "POST /api/admin/events/{id}/redeliver",
      "PATCH /api/admin/products/{id}", "POST /api/admin/products/{id}/stock",
      "POST /api/admin/payment-events/{idempotency_key}/settle", "POST /api/admin/orders/{id}/refunds",
    ]
    for route in adminRoutes {
      let name = "\(route.method.rawValue) \(route.path)"
      let isRead = route.method == .GET || name == "DELETE /api/admin/session"
      #expect(route.scope == (isRead ? .read : operated.contains(name) ? .operate : .admin), "\(name)")
    }
  }

  @Test func `each scope includes the scopes before it`() {
    #expect(AdminScope.allCases == [.read, .operate, .admin])
    #expect(AdminScope.read < .operate && AdminScope.operate < .admin)
  }

  /// Nobody reads these texts on purpose. But logs and crash reports may contain a value that contains them.
  @Test func `a description of the authentication shows no token`() {
    let authentication = AdminAuthentication(
      checkout: checkout, adminToken: configuration.adminToken, ownPages: OwnPages(proxies: TrustedProxies()),
      wrongTokens: WrongTokens(metrics: nil, log: SparseLog(logger: Logger(label: "test"))))
    let credential = AdminCredential.session(token: Secret("the-token"), adminToken: configuration.adminToken)
    var dumped = ""
    dump((authentication, credential), to: &dumped)
    for text in ["\(authentication)", "\(credential)", String(reflecting: credential), dumped] {
      #expect(!text.contains("the-admin-token") && !text.contains("the-token"), "\(text)")
    }
  }
}
