import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Each transition of a hold adds one event, for those who name the type.
@Suite struct HoldEventTests {
  @Test(.checkout) func `a hold that is placed and released has two events`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("hold.*")
    let product = try await checkout.newProduct(stock: 5)
    let outcome = try await checkout.reserveHold(
      productID: product.id, quantity: 2, customerID: "ada", idempotencyKey: "k")
    guard case .held(let hold, false) = outcome else { throw Unexpected("\(outcome)") }
    _ = try await checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada", idempotencyKey: "k")
    _ = try await checkout.reserveHold(productID: product.id, quantity: 9)
    for _ in 1...2 { _ = try await checkout.releaseHold(hold.id) }
    #expect(try await pool.eventNames() == ["hold.placed 1", "hold.released 2"])
    let events = try await pool.events()
    for (event, status) in zip(events, ["active", "released"]) {
      #expect(event.objectID == hold.id.holdText)
      #expect(try event.member("hold_id") == hold.id.holdText && event.member("product_id") == "\(product.id)")
      #expect(try event.member("quantity") == "2" && event.member("customer_id") == "ada")
      #expect(try event.member("status") == status && event.member("version") == "\(event.version)")
      let text = try #require(try event.member("expires_at"))
      #expect(
        try await pool.integer("select count(*) from holds where expires_at = '\(text)'::timestamptz") == 1)
      let seconds = Int(try event.member("expires_in_seconds") ?? "") ?? 0
      #expect(110...120 ~= seconds)
    }
    try await checkout.expectCleanAudit()
  }

  /// Two clients release it, and their requests are in one batch.
  @Test(.checkout) func `a hold that is released twice in a batch has one event`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("hold.released")
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    try await pool.run(
      "select release_holds(\(hold.id.productID), array['\(hold.id.uuidText)', '\(hold.id.uuidText)']::uuid[])")
    #expect(try await pool.integer("select sum(cardinality(versions)) from event_batches") == 1)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a star does not name the events of holds`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    _ = try await checkout.releaseHold(try await checkout.hold(1, of: try await checkout.newProduct(stock: 1)).id)
    #expect(try await pool.eventNames().isEmpty)
    #expect(EventPattern(text: "*")?.types.contains(.holdPlaced) == false)
    #expect(EventPattern(text: "hold.*")?.types == [.holdPlaced, .holdReleased, .holdExpired])
    for text in ["hold.lost", "order", "*.*", "", "endpoint.test"] { #expect(EventPattern(text: text) == nil) }
  }

  @Test(.checkout(holdTimeToLive: .milliseconds(100)))
  func `a worker that expires a hold adds hold.expired`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("hold.expired")
    _ = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    try await until("the hold has expired") { try await pool.eventNames() == ["hold.expired 2"] }
    #expect(try await pool.events()[0].member("status") == "expired")
    #expect(try await pool.events()[0].member("expires_in_seconds") == "0")
    try await checkout.expectCleanAudit()
  }

  /// No server ran for a month. Then a worker expires the hold, and another removes it before the event is dispatched.
  @Test(.database) func `a hold stays until its events are dispatched`() async throws {
    let pool = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 2, null, null, null, null);
      select create_endpoint(gen_random_uuid(), 'https://shop.example', '{hold.expired}', null, 's');
      select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
      update holds set expires_at = clock_timestamp() - interval '30 days';
      update products set available_stock = available_stock + (select units from expire_holds(1, 10, null));
      """)
    let hour: Int64 = 3_600_000_000  // microseconds
    let removed = "select removed from remove_old(1, 100, \(hour), \(hour), \(hour))"
    #expect(try await pool.integer(removed) == 0)
    #expect(try await pool.eventNames() == ["hold.expired 2"])
    #expect(try await pool.integer(removed) == 1)
    await pool.close()
  }

  /// No server runs here, so no worker expires the hold.
  @Test(.database) func `a buyer who reclaims a hold adds hold.expired`() async throws {
    let pool = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 2, null, null, null, null);
      select create_endpoint(gen_random_uuid(), 'https://shop.example', '{hold.*}', null, 's');
      select reserve_holds(1, array[gen_random_uuid()], '{2}', 0, null, null, null);
      select reserve_holds(1, array[gen_random_uuid()], '{1}', 60000000, null, null, null);
      """)
    #expect(try await pool.eventNames() == ["hold.placed 1", "hold.expired 2", "hold.placed 1"])
    #expect(Set(try await pool.events().map(\.objectID)).count == 2)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  @Test(.database) func `holds of several products in one transaction add their events`() async throws {
    let pool = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    try await pool.run(
      """
      select create_endpoint(gen_random_uuid(), 'https://shop.example', '{hold.placed}', null, 's');
      select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null) from generate_series(1, 2);
      select reserve_holds(id, array[gen_random_uuid()], '{1}', 1000000, null, null, null) from products;
      select dispatch_events(1000);
      delete from events;
      select reserve_holds_together(
        array[1, 2, 2], array(select gen_random_uuid() from generate_series(1, 3)), '{1,1,2}', 60000000, null, null);
      """)
    #expect(try await pool.eventNames() == ["hold.placed 1", "hold.placed 1", "hold.placed 1"])
    #expect(try await pool.integer("select count(*) from events where product_id = 2") == 2)
    await pool.close()
  }
}
