import Checkout
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import API

@Suite struct StockStreamsTests {
  @Test func onlyTheNewestEventWaitsToBeWritten() async {
    let stream = StockStream(
      productID: 1, channel: NIOAsyncTestingChannel(), limits: StockStream.Limits(), writes: StockStream.Writes()
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

  @Test func placeIsGivenBackOnceWhetherTheStreamJoinedOrNot() async throws {
    try await withStreams { streams, checkout, product in
      for _ in 0..<3 {
        let stream = try streams.open(product.id, on: NIOAsyncTestingChannel())
        #expect(streams.openCount == 1 && streams.writingCount == 1)
        streams.join(stream, initial: product)
        streams.leave(stream)
        #expect(streams.openCount == 0 && streams.writingCount == 0)
      }
      do { _ = try streams.open(product.id, on: NIOAsyncTestingChannel()) }
      #expect(streams.openCount == 0 && streams.writingCount == 0)
    }
  }

  /// The stock changes after a stream has read its first product and before it joins; by then the others have been told.
  @Test func whatANewcomerMissedIsToldToItAlone() async throws {
    try await withStreams { streams, checkout, product in
      let member = try streams.open(product.id, on: NIOAsyncTestingChannel())
      streams.join(member, initial: product)
      _ = try await checkout.hold(1, of: product)
      let changed = StockEvent.encode(try #require(await checkout.product(product.id)))
      #expect(await member.next() == changed)

      let newcomer = try streams.open(product.id, on: NIOAsyncTestingChannel())
      streams.join(newcomer, initial: product)
      #expect(await newcomer.next() == changed)

      // What comes next to the member is the next change.
      async let next = member.next()
      _ = try await checkout.hold(1, of: product)
      #expect(await next == StockEvent.encode(try #require(await checkout.product(product.id))))
      streams.leave(member)
      streams.leave(newcomer)
    }
  }

  @Test func streamThatJoinsDuringShutdownEnds() async throws {
    try await withStreams { streams, checkout, product in
      let stream = try streams.open(product.id, on: NIOAsyncTestingChannel())
      streams.end()
      streams.join(stream, initial: product)
      #expect(await stream.next() == nil)
      #expect(throws: CheckoutError.self) { try streams.open(product.id, on: NIOAsyncTestingChannel()) }
    }
  }

  /// Lends streams of a checkout with one product.
  private func withStreams(
    _ body: @escaping @Sendable (StockStreams, Checkout, Product) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let streams = StockStreams(checkout: checkout, maximumCount: 10, limits: StockStream.Limits())
        let running = Task { await streams.run() }
        // Who waits for an event that does not come is told that there is none.
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
