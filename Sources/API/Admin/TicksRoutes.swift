/// `GET /api/admin/ticks`: the shop and this server, once a second, as Server-Sent Events.
struct TicksRoutes {
  let ticks: Ticks
  /// Whether the key or session of a stream's request is still valid. It is asked before each event, so once a second for
  /// each stream. With false, the stream ends.
  ///
  /// The admin token is valid while the server runs.
  var isStillAllowed: @Sendable (Request) async -> Bool = { _ in true }

  var routes: [Route] { [Route(.GET, "/api/admin/ticks", watch)] }

  @Sendable private func watch(_ request: Request) async throws -> Response {
    let stream = try ticks.open(on: request.channel)
    let body = BodyStream(
      run: { [self] write in
        ticks.join(stream)
        defer { ticks.leave(stream) }
        var first = StockEvent.retry()
        first.writeStaticString("\n")
        try await write(first)
        while let event = await stream.next() {
          guard await isStillAllowed(request) else { return try await write(TicksEvent.signedOut) }
          try await write(event)
        }
      },
      onInputClosed: { stream.drop() })
    return Response(
      contentType: "text/event-stream",
      // Tells nginx not to buffer events.
      headers: [("X-Accel-Buffering", "no")], stream: body)
  }
}
