import Checkout
import Hummingbird

extension APIServer {
  /// The routes that a crowd comes to.
  static func fastRoutes(checkout: Checkout, configuration: Configuration) -> [FastRoute] {
    [
      HoldRoutes(checkout: checkout).reserve,
      ProductRoutes(checkout: checkout).show,
      OrderRoutes(checkout: checkout).place,
      WebhookRoutes(checkout: checkout, verifier: configuration.webhookVerifier).receive,
    ]
  }

  /// Every address and what stands before it, from the outside in.
  static func makeRouter(
    checkout: Checkout, configuration: Configuration, streams: StockStreams, fastRoutes: FastRoutes,
    draining: Draining
  ) -> Router<AppContext> {
    let router = Router(context: AppContext.self, options: .autoGenerateHeadEndpoints)
    if let metrics = fastRoutes.metrics { router.add(middleware: MetricsMiddleware(metrics: metrics)) }
    if let spans = fastRoutes.spans { router.add(middleware: TracingMiddleware(spans: spans)) }
    router.add(middleware: RequestIDMiddleware())
    router.add(middleware: ProblemMiddleware())

    for route in fastRoutes.routes { route.add(to: router) }
    let api = router.group("api")
    ProductRoutes(checkout: checkout).add(to: api)
    StockStreamRoutes(checkout: checkout, streams: streams).add(to: api)
    HoldRoutes(checkout: checkout).add(to: api)
    OrderRoutes(checkout: checkout).add(to: api)
    AdminRoutes(checkout: checkout)
      .add(to: api.group("admin").add(middleware: AdminAuthentication(token: configuration.adminToken)))

    HealthRoutes(checkout: checkout, draining: draining).add(to: router)
    if let metrics = configuration.metrics {
      MetricsRoutes(checkout: checkout, metrics: metrics, streams: streams).add(to: router)
    }
    OpenAPIRoute().add(to: router)
    ProblemRoutes().add(to: router)
    router.add(middleware: MethodNotAllowedMiddleware(routes: router.routes))
    return router
  }
}
