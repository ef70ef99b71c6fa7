import Logging
import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct StockFeedTests {
  @Test(.checkout(orderTimeToLive: .milliseconds(300))) func `a change of the stock is announced after its commit`()
    async throws
  {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    var heard = try await Announcements(on: url)
    let product = try await checkout.newProduct(stock: 10)
    let id = String(product.id)

    let released = try await checkout.hold(1, of: product)
    #expect(try await heard.next() == id)
    _ = try await checkout.releaseHold(released.id)
    #expect(try await heard.next() == id)

    // An order takes the units of its hold. A failed payment returns them.
    let hold = try await checkout.hold(2, of: product)
    #expect(try await heard.next() == id)
    let order = try await checkout.order(hold)
    #expect(try await heard.next() == id)
    _ = try await checkout.pay(order.id, .failed, key: "failure")
    #expect(try await heard.next() == id)
    #expect(try await checkout.availableStock(product) == 10)

    // A success takes the units again.
    _ = try await checkout.pay(order.id, key: "success")
    #expect(try await heard.next() == id)
    #expect(try await checkout.availableStock(product) == 8)

    // A payment may turn reserved_out into sold_out.
    let bought = try await checkout.hold(1, of: product)
    #expect(try await heard.next() == id)
    let last = try await checkout.order(bought)
    #expect(try await heard.next() == id)
    _ = try await checkout.pay(last.id, key: "payment")
    #expect(try await heard.next() == id)

    // This failure comes before its order.
    let early = try await checkout.hold(1, of: product)
    #expect(try await heard.next() == id)
    _ = try await checkout.pay(early.id, .failed, key: "early")
    _ = try await checkout.placeOrder(holdID: early.id)
    #expect(try await heard.next() == id)
    #expect(try await checkout.availableStock(product) == 7)

    // This order expires unpaid.
    let unpaid = try await checkout.hold(1, of: product)
    #expect(try await heard.next() == id)
    _ = try await checkout.order(unpaid)
    #expect(try await heard.next() == id)
    #expect(try await heard.next() == id)
    #expect(try await checkout.availableStock(product) == 7)
  }

  @Test(.checkout) func `refusals are not announced`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    var heard = try await Announcements(on: url)
    let product = try await checkout.newProduct(stock: 1)
    let other = try await checkout.newProduct(stock: 1)
    #expect(try await checkout.reserveHold(productID: product.id, quantity: 2).isInsufficientStock)
    _ = try await checkout.hold(1, of: other)
    #expect(try await heard.next() == String(other.id))
  }

  @Test(.database) func `changes at the same time share one announcement`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 2)
    let feed = StockFeed(database: pool, listener: ConnectionConfiguration(url: url), logger: Logger(label: "feed"))
    var heard = try await Announcements(on: url)
    for _ in 0..<1000 { feed.announce(7) }
    feed.announce(8)
    let running = Task { await feed.run() }
    #expect(try await Set([heard.next(), heard.next()]) == ["7", "8"])
    feed.announce(9)
    #expect(try await heard.next() == "9")
    running.cancel()
    await running.value
    await pool.close()
  }

  @Test(.checkout) func `a change on another server ends the wait of a stock watch`() async throws {
    let one = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      let product = try await one.newProduct(stock: 1000)
      let neighbour = try await one.newProduct(stock: 10)
      let watch = other.watchStock(of: product.id)
      // A wait may end for an earlier change, or for the start of listening.
      func wait() async -> Duration { await ContinuousClock().measure { await watch.change() } }
      while await wait() < StockWatch.pollInterval {}

      // Without announcements every wait lasts the whole interval. On a busy machine some do.
      try await until("a change ends a wait") {
        async let waited = wait()
        _ = try await one.hold(1, of: product)
        return await waited < StockWatch.pollInterval
      }

      while await wait() < StockWatch.pollInterval {}
      _ = try await one.hold(1, of: neighbour)
      let pause = await wait()
      #expect(pause >= StockWatch.pollInterval, "\(pause)")
    }
  }

  @Test func `a stock watch ends with its last reference`() {
    let nowhere = ConnectionConfiguration(url: "postgresql://")
    let feed = StockFeed(database: Pool(nowhere), listener: nowhere, logger: Logger(label: "feed"))
    var watches = [feed.watch(1), feed.watch(1), feed.watch(2)]
    #expect(feed.watchCount == 3)
    watches.removeFirst()
    #expect(feed.watchCount == 2)
    watches = []
    #expect(feed.watchCount == 0)
  }
}

/// The announcements to all servers.
private struct Announcements {
  private var listener: NotificationListener.Iterator

  init(on url: String) async throws {
    listener = NotificationListener(ConnectionConfiguration(url: url), channels: [StockFeed.channel])
      .makeAsyncIterator()
    guard case .listening? = await listener.next() else { throw Unexpected("not listening") }
  }

  mutating func next() async throws -> String {
    guard case .notification(let notification)? = await listener.next() else { throw Unexpected("no announcement") }
    return notification.payload
  }
}
