import Checkout
import Telemetry

extension APIServer {
  /// All routes. The routes of buyers come first, because `RouteTable` searches from first to last.
  static func routes(
    checkout: Checkout, configuration: Configuration, streams: StockStreams, ticks: Ticks, draining: Draining,
    log: SparseLog
  ) -> RouteTable {
    let wrongTokens = WrongTokens(metrics: configuration.metrics, log: log)
    let ownPages = OwnPages(proxies: configuration.trustedProxies)
    let admin = AdminAuthentication(
      checkout: checkout, adminToken: configuration.adminToken, ownPages: ownPages, wrongTokens: wrongTokens)
    var routes =
      ProductRoutes(checkout: checkout).routes
      + HoldRoutes(checkout: checkout).routes
      + OrderRoutes(checkout: checkout).routes
      + WebhookRoutes(checkout: checkout, verifier: configuration.webhookVerifier, log: log).routes
      + StockStreamRoutes(checkout: checkout, streams: streams, proxies: configuration.trustedProxies).routes
      + AdminRoutes(
        checkout: checkout, ownPages: ownPages, ticks: ticks, endpointPolicy: configuration.endpointPolicy,
        draining: draining
      ).routes.map(admin.guarding)
      + SessionRoutes(checkout: checkout, authentication: admin, ownPages: ownPages).routes
      + HealthRoutes(checkout: checkout, draining: draining).routes
      + OpenAPIRoute().routes
      + ProblemRoutes().routes
    if let verifier = configuration.stripeVerifier {
      routes += StripeRoutes(checkout: checkout, verifier: verifier, log: log).routes
    }
    if let pages = configuration.pages { routes += PageRoutes(settings: pages).routes }
    if let metrics = configuration.metrics {
      let open = MetricsRoutes(checkout: checkout, metrics: metrics, streams: streams).routes
      let token = configuration.metricsToken.map {
        MetricsAuthentication(token: $0, wrongTokens: wrongTokens)
      }
      routes += token.map { open.map($0.guarding) } ?? open
    }
    let checks = BuyerChecks(
      tokens: configuration.customerTokens,
      limit: configuration.rateLimitPerClient.map { RateLimit(perSecond: $0) },
      proxies: configuration.trustedProxies, metrics: configuration.metrics)
    routes = routes.map(checks.guarding)
    if let sharing = configuration.sharing { routes += sharing.preflights(for: routes) }
    return RouteTable(routes: routes)
  }
}
