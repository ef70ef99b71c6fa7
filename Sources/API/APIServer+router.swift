import Checkout
import Hummingbird

extension APIServer {
  /// The routes that a crowd comes to.
  static func fastRoutes(checkout: Checkout, configuration: Configuration, log: SparseLog) -> [FastRoute] {
    [
      HoldRoutes(checkout: checkout).reserve,
      ProductRoutes(checkout: checkout).show,
      OrderRoutes(checkout: checkout).place,
      WebhookRoutes(checkout: checkout, verifier: configuration.webhookVerifier, log: log).receive,
    ]
  }

  /// Every address and what stands before it, from the outside in.
  static func makeRouter(
    checkout: Checkout, configuration: Configuration, streams: StockStreams, fastRoutes: FastRoutes,
    draining: Draining, log: SparseLog
  ) -> Router<AppContext> {
    let router = Router(context: AppContext.self, options: .autoGenerateHeadEndpoints)
    if let metrics = fastRoutes.metrics { router.add(middleware: MetricsMiddleware(metrics: metrics)) }
    if let spans = fastRoutes.spans { router.add(middleware: TracingMiddleware(spans: spans)) }
    router.add(middleware: RequestIDMiddleware())
    router.add(middleware: ProblemMiddleware())
    router.add(middleware: PathMiddleware())

    for route in fastRoutes.routes { route.add(to: router) }
    let api = router.group("api")
    ProductRoutes(checkout: checkout).add(to: api)
    StockStreamRoutes(checkout: checkout, streams: streams, proxies: configuration.trustedProxies).add(to: api)
    HoldRoutes(checkout: checkout).add(to: api)
    OrderRoutes(checkout: checkout).add(to: api)
    let wrongTokens = WrongTokens(metrics: configuration.metrics, log: log)
    let admin = BearerAuthentication(.admin, token: configuration.adminToken, wrongTokens: wrongTokens)
    AdminRoutes(checkout: checkout).add(to: api.group("admin").add(middleware: admin))

    HealthRoutes(checkout: checkout, draining: draining).add(to: router)
    if let metrics = configuration.metrics {
      let group = router.group()
      if let token = configuration.metricsToken {
        group.add(middleware: BearerAuthentication(.metrics, token: token, wrongTokens: wrongTokens))
      }
      MetricsRoutes(checkout: checkout, metrics: metrics, streams: streams).add(to: group)
    }
    OpenAPIRoute().add(to: router)
    ProblemRoutes().add(to: router)
    router.add(middleware: MethodNotAllowedMiddleware(routes: router.routes))
    return router
  }
}
