import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Clients that poll events.
@Suite struct EventFeedTests {
  /// The events that a client sees from a cursor on, page by page, and where it goes on.
  private static func read(
    _ checkout: Checkout, type: EventType? = nil, productID: Int32? = nil, from start: EventPage.Cursor? = nil
  ) async throws -> (events: [Event], next: EventPage.Cursor?) {
    var (events, cursor) = ([Event](), start)
    while true {
      let page = try await checkout.events(type: type, productID: productID, from: cursor)
      events += page.events
      cursor = page.next.flatMap { EventPage.Cursor(text: $0.text) }
      if !page.hasMore { return (events, cursor) }
    }
  }

  @Test(.checkout) func `the feed records events while it is on`() async throws {
    let checkout = TestCheckout.current.checkout
    #expect(try await checkout.feed().isEmpty)
    try await DeliveryTests.orders(1, checkout)
    try await checkout.setFeed([try #require(EventPattern(text: "order.*"))], by: .tester)
    #expect(try await checkout.feed() == ["order.*"])
    let product = try await checkout.newProduct(stock: 2)
    let order = try await checkout.order(1, of: product)
    _ = try await checkout.pay(order.id, key: "a")
    // The deliverer of any server does this.
    for _ in 1...2 { _ = try await checkout.claim() }
    // Transactions of other databases hold the feed back for a moment.
    try await until("both events are listed") { try await checkout.events().events.count == 2 }
    let (events, next) = try await Self.read(checkout)
    #expect(events.map(\.type) == ["order.placed", "order.paid"])
    #expect(events.allSatisfy { $0.objectID == order.id.orderText && $0.productID == product.id })
    #expect(try await checkout.events(from: next).events.isEmpty)
    // A client goes on from its last event, even after a page without events.
    #expect(try await checkout.events(from: next).next == next)
    #expect(try await Self.read(checkout, type: .orderPaid).events.map(\.type) == ["order.paid"])
    #expect(try await Self.read(checkout, productID: product.id - 1).events.isEmpty)
    try await checkout.setFeed([], by: .tester)
    _ = try await checkout.order(1, of: product)
    try await checkout.expectCleanAudit()
    #expect(try await Self.read(checkout).events.count == 2)
  }

  @Test(.checkout) func `pages have each event once`() async throws {
    let (checkout, pool) = TestCheckout.current
    for _ in 1...3 {
      try await pool.run(
        """
        insert into events (product_id, id, type, object_id, version, created_at, data)
        select 1, gen_random_uuid(), 'order.placed', n::text, 1, now(), '{}' from generate_series(1, 110) n;
        """)
    }
    try await until("all are listed") { try await Self.read(checkout).events.count == 330 }
    #expect(Set(try await Self.read(checkout).events.map(\.id)).count == 330)
    for text in ["", "1", "-", "1-", "-1", "1-2-3", "+1-2", "1-99999999999999999999"] {
      #expect(EventPage.Cursor(text: text) == nil)
    }
  }

  /// A client must not go on after the second event, because the first one comes before that place.
  @Test(.checkout) func `an event that is dispatched late is not missed`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.setFeed([try #require(EventPattern(text: "order.*"))], by: .tester)
    try await DeliveryTests.orders(1, checkout)
    let start = try await pool.holding("select claim_deliveries(gen_random_uuid(), 1)") { commit in
      try await DeliveryTests.orders(1, checkout)
      _ = try await checkout.claim()
      let (events, next) = try await Self.read(checkout)
      #expect(events.isEmpty)
      try await commit()
      return next
    }
    try await until("both are listed") { try await Self.read(checkout, from: start).events.count == 2 }
    #expect(try await Self.read(checkout, from: start).events.map(\.productID) == [1, 2])
  }

  @Test(.checkout) func `a transaction that commits late is listed`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.setFeed([try #require(EventPattern(text: "order.*"))], by: .tester)
    let product = try await checkout.newProduct(stock: 1)
    let hold = try await checkout.hold(1, of: product)
    try await pool.holding(
      "select place_orders(\(product.id), array['\(hold.id.uuid)'::uuid], null, 900000000)"
    ) { commit in
      try await DeliveryTests.orders(1, checkout)
      _ = try await checkout.claim()
      try await commit()
    }
    _ = try await checkout.claim()
    try await until("both are listed") { try await Self.read(checkout).events.count == 2 }
    #expect(try await Self.read(checkout).events.map(\.productID) == [product.id + 1, product.id])
  }
}
