import Checkout
import Hummingbird

extension APIServer {
  /// Every address and what stands before it, from the outside in.
  static func makeRouter(
    checkout: Checkout, configuration: Configuration, streams: StockStreams
  ) -> Router<AppContext> {
    let router = Router(context: AppContext.self, options: .autoGenerateHeadEndpoints)
    if let metrics = configuration.metrics { router.add(middleware: MetricsMiddleware(metrics: metrics)) }
    if let tracer = configuration.tracer { router.add(middleware: TracingMiddleware(tracer: tracer)) }
    router.add(middleware: RequestIDMiddleware())
    router.add(middleware: ProblemMiddleware())

    let api = router.group("api")
    let bodies = RequestBodies(maximumBytes: configuration.maximumBodyBytes)
    ProductRoutes(checkout: checkout).add(to: api)
    StockStreamRoutes(checkout: checkout, streams: streams).add(to: api)
    HoldRoutes(checkout: checkout, bodies: bodies).add(to: api)
    OrderRoutes(checkout: checkout, bodies: bodies).add(to: api)
    WebhookRoutes(checkout: checkout, bodies: bodies, verifier: configuration.webhookVerifier).add(to: api)
    AdminRoutes(checkout: checkout, bodies: bodies)
      .add(to: api.group("admin").add(middleware: AdminAuthentication(token: configuration.adminToken)))

    HealthRoutes(checkout: checkout).add(to: router)
    if let metrics = configuration.metrics { MetricsRoutes(checkout: checkout, metrics: metrics).add(to: router) }
    OpenAPIRoute().add(to: router)
    ProblemRoutes().add(to: router)
    router.add(middleware: MethodNotAllowedMiddleware(routes: router.routes))
    return router
  }
}
