/// `GET /api/admin/ticks`: the shop and this server, once a second, as Server-Sent Events.
struct TicksRoutes {
  let ticks: Ticks

  var routes: [AdminRoute] { [AdminRoute(.GET, "/api/admin/ticks", .read, watch)] }

  @Sendable private func watch(_ request: Request, by admin: AdminIdentity) async throws -> Response {
    let stream = try ticks.open(on: request.channel)
    let body = BodyStream(
      run: { [ticks] write in
        ticks.join(stream)
        defer { ticks.leave(stream) }
        var first = StockEvent.retry()
        first.writeStaticString("\n")
        try await write(first)
        while let event = await stream.next() {
          // Each stream checks its key once a second. While the database is away, no key can be revoked, and ticks go on.
          guard (try? await admin.isStillValid()) ?? true else { return try await write(TicksEvent.signedOut) }
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
