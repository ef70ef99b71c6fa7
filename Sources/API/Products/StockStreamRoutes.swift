import Checkout
import HTTPTypes
import Hummingbird

/// `GET /api/products/{id}/events`: the product now and whenever it changes, as Server-Sent Events.
struct StockStreamRoutes {
  let checkout: Checkout
  let streams: StockStreams
  let proxies: TrustedProxies

  func add(to router: RouterGroup<AppContext>) {
    router.get("products/:id/events", use: events)
  }

  @Sendable private func events(_ request: Request, context: AppContext) async throws -> Response {
    guard let id = context.productID, let product = try await checkout.product(id) else {
      throw Problem.notFound("product")
    }
    if request.method == .head { return Response(status: .ok, headers: Self.headers) }
    let client = proxies.client(
      connection: context.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) },
      forwarded: request.headers[values: .xForwardedFor])
    let stream = try streams.open(id, for: client, on: context.channel)
    let body = ResponseBody { [streams] writer in
      try await request.body.consumeWithInboundCloseHandler { _ in
        streams.join(stream, initial: product)
        defer { streams.leave(stream) }
        try await writer.write(StockEvent.encodeFirst(product))
        while let event = await stream.next() { try await writer.write(event) }
        try await writer.finish(nil)
      } onInboundClosed: {
        // Also at the end of the stream, behind all that was written.
        stream.drop()
      }
    }
    return Response(status: .ok, headers: Self.headers, body: body)
  }

  private static let headers: HTTPFields = [
    .contentType: "text/event-stream",
    // Asks nginx to pass each event on as it comes.
    .xAccelBuffering: "no",
  ]
}

extension HTTPField.Name {
  fileprivate static let xAccelBuffering = Self("X-Accel-Buffering")!
}
