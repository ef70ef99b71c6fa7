import Checkout
import Foundation
import Logging
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import Time

@testable import API

/// Streams of a server in the test process. Its timeouts are shorter than the defaults.
@Suite(.timeLimit(.minutes(1))) struct StockStreamTests {
  @Test func `a stream without changes sends heartbeats at the interval`() async throws {
    try await withServer(heartbeat: .milliseconds(200)) { server in
      // Taken before the stream begins: a late test must not measure less than the server waited.
      let start = Moment.now
      let reader = try await EventReader.open(server.url)
      try await until("heartbeats came") { reader.heartbeats >= 12 }
      let elapsed = start.duration(to: .now)
      #expect(elapsed > .milliseconds(2100), "\(elapsed)")
      // Meanwhile the server read the product at least twice. Nothing had changed, so it sent no event.
      #expect(reader.events.count == 1 && reader.end == nil)
    }
  }

  @Test func `a client that stops reading is disconnected without delaying other clients`() async throws {
    try await withServer(name: Self.largeName, writeTimeout: .milliseconds(1500)) { server in
      let reader = try await EventReader.open(server.url)
      let idler = try Idler(port: server.port, productID: server.productID)
      try await until("both have streams") { server.streamCount == 2 }
      let start = Moment.now
      /// The events that the other client received while a write to the idle client was blocked.
      var eventsMeanwhile = 0
      try await until("the idle client is disconnected") {
        let (isStuck, before) = (server.isAnyStuck, reader.events.count)
        _ = try await server.changeStock()
        try await Task.sleep(for: .milliseconds(20))
        guard server.streamCount == 1 else {
          if isStuck { eventsMeanwhile += reader.events.count - before }
          return false
        }
        return true
      }
      let elapsed = start.duration(to: .now)
      #expect(elapsed > .milliseconds(1500), "\(elapsed)")
      idler.hangUp()

      let final = try await server.changeStock()
      try await until("the other reader sees the final stock") { reader.availableStock == Int(final) }
      #expect(reader.end == nil)
      #expect(eventsMeanwhile > 1, "the idle client delayed the other client")
    }
  }

  @Test func `a closed stream frees its place at once`() async throws {
    // With these times the server writes nothing during the test, so no failed write reveals the closed connection.
    try await withServer(maximumStreams: 1, heartbeat: .seconds(600), writeTimeout: .seconds(600)) { server in
      for _ in 0..<3 {
        let reader = try await EventReader.open(server.url)
        #expect(reader.status == 200)
        let refused = try await EventReader.open(server.url)
        #expect(refused.status == 503 && refused.headers["retry-after"] == "1", "\(refused.body)")
        #expect(refused.body.contains("/problems/overloaded"))
        reader.close()
        try await until("the place is free") { server.streamCount == 0 }
        #expect(server.api.streams.writingCount == 0)
      }
    }
  }

  @Test func `each reader receives the final stock, whenever it joined`() async throws {
    try await withServer { server in
      var readers: [EventReader] = []
      var final: Int32 = 0
      for _ in 0..<40 {
        async let opening = EventReader.open(server.url)
        final = try await server.changeStock()
        readers.append(try await opening)
      }
      try await until("all see the final stock") { readers.allSatisfy { $0.availableStock == Int(final) } }
      // Each event has a lower stock than the one before, so no change is sent twice.
      for reader in readers {
        let stocks = reader.events.map(\.availableStock)
        #expect(zip(stocks, stocks.dropFirst()).allSatisfy { $0 > $1 }, "\(stocks)")
      }
    }
  }

  @Test func `a connection above the limit waits until another one closes`() async throws {
    try await withServer(maximumConnections: 2) { server in
      let readers = [try await EventReader.open(server.url), try await EventReader.open(server.url)]
      let url = server.url
      let next = Task { try await EventReader.open(url) }
      try await Task.sleep(for: .milliseconds(200))
      #expect(server.streamCount == 2)
      readers[0].close()
      #expect(try await next.value.status == 200)
      readers[1].close()
      try await next.value.close()
    }
  }

  /// If shutdown waited for the client, it would take the write timeout, which is longer than the test's time limit.
  @Test func `a client that does not read does not delay shutdown`() async throws {
    try await withServer(name: Self.largeName, writeTimeout: .seconds(600)) { server in
      let idler = try Idler(port: server.port, productID: server.productID)
      try await until("it has a stream") { server.streamCount == 1 }
      try await until("a write to it is blocked") {
        _ = try await server.changeStock()
        try await Task.sleep(for: .milliseconds(20))
        return server.isAnyStuck
      }
      await server.shutDown()
      idler.hangUp()
    }
  }

  @Test func `a slow reader skips events and receives the final stock`() async throws {
    try await withServer(name: Self.largeName) { server in
      let reader = try await EventReader.open(server.url)
      let idler = try Idler(port: server.port, productID: server.productID)
      try await until("both have streams") { server.streamCount == 2 }
      var final: Int32 = 0
      try await until("a write to the idle client is blocked") {
        final = try await server.changeStock()
        try await Task.sleep(for: .milliseconds(20))
        return server.isAnyStuck
      }
      try await until("the other reader is up to date") { reader.availableStock == Int(final) }
      var text = ""
      try await until("the idle client, which now reads, sees the final stock") {
        text += idler.read()
        return text.contains("\"available_stock\":\(final),")
      }
      let count = text.split(separator: "event: stock").count - 1
      #expect(count >= 2 && count < reader.events.count, "\(count) of \(reader.events.count)")
      idler.hangUp()
    }
  }

  // MARK: Support

  /// Each character takes six bytes of JSON. Large events fill the buffers sooner.
  private static let largeName = String(repeating: "\u{1}", count: 200)

  private struct Server: Sendable {
    let port: Int
    let productID: Int32
    let checkout: Checkout
    let api: APIServer
    let services: ServiceGroup
    let running: Task<Void, any Error>

    var url: String { "http://127.0.0.1:\(port)/api/products/\(productID)/events" }
    var streamCount: Int { api.streams.openCount }
    var isAnyStuck: Bool { api.streams.isAnyWriting(for: .milliseconds(300)) }

    /// Places a hold of one unit.
    ///
    /// - Returns: the available stock.
    func changeStock() async throws -> Int32 {
      guard case .held = try await checkout.reserveHold(productID: productID, quantity: 1) else {
        throw Unexpected("sold out")
      }
      return try await checkout.product(productID)!.availableStock
    }

    func shutDown() async {
      await services.triggerGracefulShutdown()
      _ = await running.result
    }
  }

  /// Runs `body` with a server that has one product.
  private func withServer(
    name: String = "Cap", maximumStreams: Int = 10_000, maximumConnections: Int = .max,
    heartbeat: Duration = .seconds(15),
    writeTimeout: Duration = .seconds(10), _ body: @escaping @Sendable (Server) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      var logger = Logger(label: "server")
      logger.logLevel = .error
      let connection = ConnectionConfiguration(url: url)
      let checkout = Checkout(
        database: Pool(connection), configuration: Checkout.Configuration(listener: connection), logger: logger)
      var configuration = APIServer.Configuration(webhookVerifier: nil, adminToken: nil)
      configuration.port = 0
      configuration.maximumStreams = maximumStreams
      configuration.maximumConnections = maximumConnections
      configuration.streamLimits = EventStream.Limits(heartbeatInterval: heartbeat, writeTimeout: writeTimeout)
      let (ports, portsSink) = AsyncStream.makeStream(of: Int.self)
      let api = APIServer(checkout: checkout, configuration: configuration, logger: logger) { portsSink.yield($0) }
      let services = ServiceGroup(configuration: ServiceGroupConfiguration(services: [checkout, api], logger: logger))
      let running = Task { try await services.run() }
      let port = try #require(await ports.first { _ in true })
      let product = try await checkout.newProduct(
        CreateProduct(name: name, price: 100, currency: "USD", stock: 1_000_000))
      let server = Server(
        port: port, productID: product.id, checkout: checkout, api: api, services: services, running: running)
      let result = await Task { try await body(server) }.result
      await server.shutDown()
      try result.get()
    }
  }
}

/// A client that requests a stream, and reads it only when the test says so.
private struct Idler {
  private let descriptor: Int32

  init(port: Int, productID: Int32) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    // Set before connecting, so that the TCP window is small from the start.
    var size: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout.size(ofValue: size)))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw Unexpected("cannot connect: \(errno)") }
    let request = "GET /api/products/\(productID)/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    guard send(descriptor, request, request.utf8.count, 0) == request.utf8.count else {
      throw Unexpected("cannot send: \(errno)")
    }
  }

  /// The bytes that have arrived, as text.
  func read() -> String {
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  func hangUp() {
    close(descriptor)
  }
}
