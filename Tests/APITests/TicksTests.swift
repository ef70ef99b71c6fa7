import NIOCore
import NIOEmbedded
import NIOHTTP1
import Postgres
import Synchronization
import TestSupport
import Testing
import Time

@testable import API
@testable import Checkout

@Suite(.timeLimit(.minutes(10))) struct TicksTests {
  @Test func `any number of watchers costs one query a second, and none costs nothing`() async throws {
    try await withTicks { server in
      let begin = Moment.now
      let streams = try (0..<3).map { _ in try server.watch() }
      for _ in 0..<3 {
        for stream in streams { _ = try await Self.tick(of: stream) }
      }
      let count = server.queryCount
      #expect(1...Int((Moment.now - begin) / .seconds(1)) + 1 ~= count, "\(count)")
      #expect(server.figures.isCounting && server.streams.openCount == 3)

      for stream in streams { server.ticks.leave(stream) }
      try await until("the ticks have stopped") { !server.figures.isCounting }
      #expect(server.streams.openCount == 0)
      let last = server.queryCount
      try await Task.sleep(for: .milliseconds(1500))
      #expect(server.queryCount == last)
    }
  }

  @Test func `a client that comes and goes gets a tick at once, and costs one query a second`() async throws {
    try await withTicks { server in
      let begin = Moment.now
      var delays: [Duration] = []
      while .now < begin + .milliseconds(2500) {
        let start = Moment.now
        let stream = try server.watch()
        _ = try await Self.tick(of: stream)
        server.ticks.leave(stream)
        delays.append(.now - start)
      }
      #expect(1...Int((Moment.now - begin) / .seconds(1)) + 1 ~= server.queryCount, "\(server.queryCount)")
      #expect(delays.count > 10 && delays.sorted()[delays.count / 2] < .milliseconds(100), "\(delays)")
    }
  }

  @Test func `a watcher that does not read gets the newest tick, not a queue`() async throws {
    try await withTicks { server in
      let slow = try server.watch()
      _ = try await Self.tick(of: slow)
      let other = try server.watch()
      var ticks: [Tick] = []
      for _ in 0..<4 { ticks.append(try await Self.tick(of: other)) }
      // The last tick may not have reached this stream yet. Times are RFC 3339 in UTC, so their order is that of the text.
      let next = try await Self.tick(of: slow)
      #expect(next.time >= ticks[2].time)
      #expect(try await Self.tick(of: slow).time > next.time)
      server.ticks.leave(slow)
      server.ticks.leave(other)
    }
  }

  @Test func `shutdown ends the streams, and no stream opens after it`() async throws {
    try await withTicks { server in
      let stream = try server.watch()
      _ = try await Self.tick(of: stream)
      let late = try server.ticks.open(on: NIOAsyncTestingChannel())
      server.streams.end()
      server.ticks.join(late)
      for stream in [stream, late] {
        // A tick may wait to be written.
        var events = 0
        while await stream.next() != nil { events += 1 }
        #expect(events <= 1)
        server.ticks.leave(stream)
      }
      #expect(throws: CheckoutError.self) { try server.watch() }
      #expect(server.streams.openCount == 0)
    }
  }

  @Test func `ticks go on while the database is silent, with the last shop`() async throws {
    try await withTicks { server in
      let product = try await server.checkout.newProduct(stock: 5)
      let stream = try server.watch()
      let first = try await Self.tick(of: stream)
      #expect(first.database.reachable && first.database.reason == nil && first.shop?.products.count == 1)
      try await server.database.holding("lock table holds in access exclusive mode") { _ in
        var tick = try await Self.tick(of: stream)
        while tick.database.reachable { tick = try await Self.tick(of: stream) }
        let (away, start) = (tick, Moment.now)
        for _ in 0..<3 {
          tick = try await Self.tick(of: stream)
          #expect(tick.database.since == away.database.since && tick.database.since > first.time)
          #expect(tick.database.reason?.isEmpty == false)
          #expect(tick.shop?.products.first?.id == Int(product.id) && tick.shop?.asOf == away.shop?.asOf)
        }
        #expect(Moment.now - start < .seconds(10))
      }
      var tick = try await Self.tick(of: stream)
      while !tick.database.reachable { tick = try await Self.tick(of: stream) }
      #expect(tick.database.reason == nil && tick.database.since > first.database.since)
      server.ticks.leave(stream)
    }
  }

  /// Buyers must not shut out the operator.
  @Test func `streams of ticks have places of their own`() async throws {
    try await withTicks(maximumCount: 2) { server in
      let product = try await server.checkout.newProduct(stock: 5)
      let buyers = try (0..<2).map { _ in
        try server.streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
      }
      let watchers = try (0..<2).map { _ in try server.watch() }
      #expect(server.streams.openCount == 4)
      #expect(throws: Problem.self) { try server.watch() }
      for stream in watchers { server.ticks.leave(stream) }
      for stream in buyers { server.streams.leave(stream) }
      #expect(server.streams.openCount == 0)
    }
  }

  @Test func `a stream whose key is no longer valid says so and ends`() async throws {
    try await withTicks { server in
      let isAllowed = Mutex(true)
      let routes = TicksRoutes(ticks: server.ticks).routes
      let admin = AdminIdentity(.withAdminToken) { isAllowed.withLock { $0 } }
      let request = Request(
        requestID: "1", head: HTTPRequestHead(version: .http1_1, method: .GET, uri: "/api/admin/ticks"), parameter: "",
        body: ByteBuffer(), bodyLabel: .json, channel: NIOAsyncTestingChannel())
      let response = try await routes[0].handle(request, admin)
      #expect(response.headers.contains { $0 == ("Content-Type", "text/event-stream") })
      guard case .stream(let body) = response.body else { throw Unexpected("no stream") }
      let pieces = Mutex<[String]>([])
      // The stream ends by itself.
      try await body.run { piece in
        pieces.withLock { $0.append(String(buffer: piece)) }
        if String(buffer: piece).hasPrefix("event: tick") { isAllowed.withLock { $0 = false } }
      }
      let written = pieces.withLock { $0 }
      #expect(written.count == 3 && written[0].wholeMatch(of: /retry: \d+\n\n/) != nil, "\(written)")
      #expect(written[1].hasPrefix("event: tick\ndata: {") && written[2] == "event: signed-out\ndata: {}\n\n")
      #expect(server.streams.openCount == 0)
    }
  }

  // MARK: Support

  private struct Server: Sendable {
    let ticks: Ticks
    let streams: StockStreams
    let figures: LiveFigures
    let checkout: Checkout
    let database: Pool
    let queries: QueryCounter

    var queryCount: Int { queries.count.load(ordering: .relaxed) }

    func watch() throws -> EventStream {
      let stream = try ticks.open(on: NIOAsyncTestingChannel())
      ticks.join(stream)
      return stream
    }
  }

  private final class QueryCounter: Sendable {
    let count = Atomic(0)
  }

  /// Waits for the next tick of a stream.
  private static func tick(of stream: EventStream) async throws -> Tick {
    while let event = await stream.next() {
      let text = String(buffer: event)
      guard let data = text.wholeMatch(of: /event: tick\ndata: (.*)\n\n/)?.output.1 else { continue }
      return try Tick(data: String(data))
    }
    throw Unexpected("the stream has ended")
  }

  private func withTicks(
    maximumCount: Int = 10, _ body: @escaping @Sendable (Server) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      let queries = QueryCounter()
      let onStatement: @Sendable (String) -> Void = { name in
        if name == "read_shop" { queries.count.wrappingAdd(1, ordering: .relaxed) }
      }
      try await withCheckout(on: url, onStatement: onStatement) { checkout, database in
        let streams = StockStreams(checkout: checkout, maximumCount: maximumCount, limits: EventStream.Limits())
        let figures = LiveFigures()
        let ticks = Ticks(
          checkout: checkout, streams: streams, figures: figures, identity: ServerIdentity(startedAt: .now))
        let running = [Task { await streams.run() }, Task { await ticks.run() }]
        let server = Server(
          ticks: ticks, streams: streams, figures: figures, checkout: checkout, database: database, queries: queries)
        // If an expected event does not come, this ends the streams, and so the wait.
        let limit = Task {
          try await Task.sleep(for: .seconds(60))
          streams.end()
        }
        let result = await Task { try await body(server) }.result
        limit.cancel()
        for task in running { task.cancel() }
        for task in running { await task.value }
        try result.get()
      }
    }
  }
}
