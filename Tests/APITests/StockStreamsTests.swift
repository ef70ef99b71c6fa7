import Addresses
import Checkout
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import API

@Suite struct StockStreamsTests {
  @Test func `only the newest event waits to be written`() async {
    let stream = EventStream(
      productID: 1, channel: NIOAsyncTestingChannel(), limits: EventStream.Limits(), writes: EventStream.Writes()
    ) {}
    stream.offer(ByteBuffer(string: "first"))
    stream.offer(ByteBuffer(string: "second"))
    #expect(await stream.next() == ByteBuffer(string: "second"))
    async let next = stream.next()
    stream.offer(ByteBuffer(string: "third"))
    #expect(await next == ByteBuffer(string: "third"))
    stream.offer(ByteBuffer(string: "last"))
    stream.end()
    #expect(await stream.next() == ByteBuffer(string: "last"))
    #expect(await stream.next() == nil)
  }

  @Test func `a stream frees its place once, whether it joined or not`() async throws {
    try await withStreams { streams, checkout, product in
      for _ in 0..<3 {
        let stream = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
        #expect(streams.openCount == 1 && streams.writingCount == 1)
        streams.join(stream, initial: product)
        streams.leave(stream)
        #expect(streams.openCount == 0 && streams.writingCount == 0)
      }
      do { _ = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel()) }
      #expect(streams.openCount == 0 && streams.writingCount == 0)
    }
  }

  @Test func `one client gets a tenth of the places, and freed places again`() async throws {
    try await withStreams(maximumCount: 25) { streams, checkout, product in
      func open(_ address: String) throws -> EventStream {
        try streams.open(product.id, for: IPAddress(address), on: NIOAsyncTestingChannel())
      }
      var mine = [try open("192.0.2.1"), try open("::ffff:192.0.2.1")]
      #expect(throws: Problem.self) { try open("192.0.2.1") }
      #expect(streams.openCount == 2)
      // A client with IPv6 has a network of 64 bits, so all addresses in it are one client.
      let theirs = [try open("192.0.2.2"), try open("2001:db8::1"), try open("2001:db8::2")]
      #expect(throws: Problem.self) { try open("2001:db8:0:0:ffff::1") }
      let neighbour = try open("2001:db8:0:1::1")
      streams.leave(mine.removeLast())
      mine.append(try open("192.0.2.1"))
      #expect(throws: Problem.self) { try open("192.0.2.1") }
      for stream in mine + theirs + [neighbour] { streams.leave(stream) }
      #expect(streams.openCount == 0)
    }
  }

  @Test func `a client gets one place if there are fewer than ten`() async throws {
    try await withStreams(maximumCount: 9) { streams, checkout, product in
      let stream = try streams.open(product.id, for: IPAddress("192.0.2.1"), on: NIOAsyncTestingChannel())
      #expect(throws: Problem.self) {
        try streams.open(product.id, for: IPAddress("192.0.2.1"), on: NIOAsyncTestingChannel())
      }
      streams.leave(stream)
    }
  }

  /// The two names look the same, but their bytes differ.
  @Test func `a name that changes only in its bytes gives an event`() async throws {
    try await withStreams { streams, checkout, product in
      _ = try await checkout.updateProduct(changes(of: product, name: "Caf\u{E9}"))
      let composed = try #require(try await checkout.product(product.id))
      let stream = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
      streams.join(stream, initial: composed)
      _ = try await checkout.updateProduct(changes(of: product, name: "Cafe\u{301}"))
      let decomposed = StockEvent.encode(try await checkout.changedProduct(product.id))
      #expect(await stream.next() == decomposed)
      streams.leave(stream)
    }
  }

  private func changes(of product: Product, name: String) -> UpdateProduct {
    var changes = UpdateProduct(productID: product.id)
    changes.productName = name
    return changes
  }

  /// 1. The newcomer reads the product.
  /// 2. The stock changes, and the member gets an event.
  /// 3. The newcomer joins. It must get that event, and the member must not get it again.
  @Test func `a newcomer alone gets the event that it missed`() async throws {
    try await withStreams { streams, checkout, product in
      let member = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
      streams.join(member, initial: product)
      _ = try await checkout.hold(1, of: product)
      let changed = StockEvent.encode(try #require(await checkout.product(product.id)))
      #expect(await member.next() == changed)

      let newcomer = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
      streams.join(newcomer, initial: product)
      #expect(await newcomer.next() == changed)

      // The member's next event is the next change.
      async let next = member.next()
      _ = try await checkout.hold(1, of: product)
      #expect(await next == StockEvent.encode(try #require(await checkout.product(product.id))))
      streams.leave(member)
      streams.leave(newcomer)
    }
  }

  @Test func `a stream that joins during shutdown ends`() async throws {
    try await withStreams { streams, checkout, product in
      let stream = try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel())
      streams.end()
      streams.join(stream, initial: product)
      #expect(await stream.next() == nil)
      #expect(throws: CheckoutError.self) { try streams.open(product.id, for: nil, on: NIOAsyncTestingChannel()) }
    }
  }

  /// Runs `body` with the streams of a checkout that has one product.
  private func withStreams(
    maximumCount: Int = 10, _ body: @escaping @Sendable (StockStreams, Checkout, Product) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let streams = StockStreams(checkout: checkout, maximumCount: maximumCount, limits: EventStream.Limits())
        let running = Task { await streams.run() }
        // If an expected event does not come, this ends the streams, and so the wait.
        let limit = Task {
          try await Task.sleep(for: .seconds(10))
          streams.end()
        }
        let result = await Task { try await body(streams, checkout, checkout.newProduct(stock: 10)) }.result
        limit.cancel()
        running.cancel()
        await running.value
        try result.get()
      }
    }
  }
}
