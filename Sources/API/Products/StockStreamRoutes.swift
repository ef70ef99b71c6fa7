import Checkout

/// `GET /api/products/{id}/events`: the product and its changes, as Server-Sent Events.
struct StockStreamRoutes {
  let checkout: Checkout
  let streams: StockStreams
  let proxies: TrustedProxies

  var routes: [Route] { [Route(.GET, "/api/products/{id}/events", for: .buyers, events)] }

  @Sendable private func events(_ request: Request) async throws -> Response {
    guard let id = request.productID, let product = try await checkout.product(id) else {
      throw Problem.notFound("product")
    }
    let client = proxies.client(of: request.headers, on: request.channel)
    let stream = try streams.open(id, for: client, on: request.channel)
    let body = BodyStream(
      run: { [streams] write in
        streams.join(stream, initial: product)
        defer { streams.leave(stream) }
        try await write(StockEvent.encodeFirst(product))
        while let event = await stream.next() { try await write(event) }
      },
      onInputClosed: { stream.drop() })
    return Response(
      contentType: "text/event-stream",
      // Tells nginx not to buffer events.
      headers: [("X-Accel-Buffering", "no")], stream: body)
  }
}
