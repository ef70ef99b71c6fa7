import Foundation
import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Operators create, change and test endpoints.
@Suite struct EndpointTests {
  private static func orders(_ count: Int, _ checkout: Checkout) async throws {
    try await DeliveryTests.orders(count, checkout)
  }

  @Test func `the types have the same bits in SQL`() async throws {
    try await TestDatabases.withDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 1)
      for type in EventType.allCases {
        #expect(try await pool.integer("select event_bit('\(type.rawValue)')") == Int64(type.bit))
      }
      #expect(try await pool.integer("select cardinality(event_types())") == Int64(EventType.allCases.count))
      for text in ["*", "order.*", "hold.*", "refund.due", "product.*"] {
        let bits = try #require(EventPattern(text: text)).types.reduce(0) { $0 | $1.bit }
        #expect(try await pool.integer("select event_mask('{\(text)}')") == Int64(bits))
      }
      #expect(try await pool.optionalInteger("select event_mask('{order.*,order}')") == nil)
      #expect(try await pool.integer("select event_mask('{}')") == 0)
      await pool.close()
    }
  }

  @Test(.checkout) func `products know what endpoints want`() async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.newProduct(stock: 1)
    func wanted() async throws -> [Int64] {
      [
        try await pool.integer("select min(wanted_events) from products"),
        try await pool.integer("select max(wanted_events) from products"),
      ]
    }
    #expect(try await wanted() == [0, 0])
    let first = try await checkout.subscribe("order.placed")
    let second = try await checkout.subscribe("order.paid")
    _ = try await checkout.newProduct(stock: 1)
    #expect(try await wanted() == [3, 3])
    var change = UpdateEndpoint(id: second.id)
    change.events = [try #require(EventPattern(text: "order.cancelled"))]
    #expect(try await checkout.updateEndpoint(change, by: .tester)?.events == ["order.cancelled"])
    #expect(try await wanted() == [5, 5])
    _ = try await checkout.enable(first.id, .disabled)
    #expect(try await wanted() == [4, 4])
    try await checkout.setFeed([try #require(EventPattern(text: "order.expired"))], by: .tester)
    #expect(try await wanted() == [12, 12])
    #expect(try await checkout.deleteEndpoint(second.id, by: .tester))
    #expect(try await checkout.deleteEndpoint(second.id, by: .tester) == false)
    try await checkout.setFeed([], by: .tester)
    #expect(try await wanted() == [0, 0])
  }

  /// The product is not there yet when the endpoint looks for products, and the endpoint is not there yet when the product
  /// looks for endpoints. One must wait for the other.
  @Test(.checkout) func `a product that is created beside an endpoint knows it`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await pool.holding("select create_product(null, 'Cap', 100, 'USD', 2, null, null, null, null)") { commit in
      async let endpoint = checkout.subscribe("order.placed")
      try await pool.untilBlocked(1)
      try await commit()
      _ = try await endpoint
    }
    #expect(try await pool.integer("select wanted_events from products") == 1)
  }

  @Test(.checkout) func `changes are recorded without secrets`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    var change = UpdateEndpoint(id: endpoint.id)
    change.endpointDescription = "mail"
    _ = try await checkout.updateEndpoint(change, by: .tester)
    _ = try await checkout.updateEndpoint(change, by: .tester)
    _ = try await checkout.rotateSecret(of: endpoint.id, by: .tester)
    _ = try await checkout.recover(endpoint.id, since: Timestamp(microsecondsSince1970: 0), by: .tester)
    try await checkout.setFeed([try #require(EventPattern(text: "*"))], by: .tester)
    _ = try await checkout.deleteEndpoint(endpoint.id, by: .tester)
    let changes = try await checkout.adminChanges().changes.reversed()
    #expect(
      changes.map(\.action) == [
        "webhook_endpoint.created", "webhook_endpoint.updated", "webhook_endpoint.secret_rotated",
        "webhook_endpoint.recovered", "event_feed.updated", "webhook_endpoint.deleted",
      ])
    #expect(changes.allSatisfy { $0.who == "tester" && $0.productID == nil })
    #expect(
      try await pool.integer("select count(*) from admin_changes where row(admin_changes.*)::text like '%whsec%'") == 0)
    #expect(try await checkout.rotateSecret(of: endpoint.id, by: .tester) == nil)
    #expect(try await checkout.updateEndpoint(change, by: .tester) == nil)
    #expect(try await checkout.testEndpoint(endpoint.id) == nil)
    #expect(try await checkout.recover(endpoint.id, since: Timestamp(microsecondsSince1970: 0), by: .tester) == nil)
  }

  /// The call has its id and secret, so a second attempt finds the endpoint of the first.
  @Test(.checkout) func `an endpoint is created once when the call runs again`() async throws {
    let (checkout, pool) = TestCheckout.current
    let creation = CreateEndpoint(url: "https://shop.example", events: [try #require(EventPattern(text: "*"))])
    let outcomes = [
      try await checkout.createEndpoint(creation, by: .tester),
      try await checkout.createEndpoint(creation, by: .tester),
    ]
    guard case .created(let first, _) = outcomes[0], case .created(let second, _) = outcomes[1] else {
      throw Unexpected("\(outcomes)")
    }
    #expect(first == second)
    #expect(try await checkout.endpoints() == [first])
    #expect(try await pool.integer("select count(*) from admin_changes") == 1)
    #expect(EndpointID(text: first.id.text) == first.id)
  }

  @Test(.checkout) func `there are at most fifty endpoints`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await pool.run(
      "select create_endpoint(gen_random_uuid(), 'https://shop.example', '{*}', null, 's') from generate_series(1, 50)")
    let creation = try await checkout.createEndpoint(
      CreateEndpoint(url: "https://shop.example", events: [try #require(EventPattern(text: "*"))]), by: .tester)
    guard case .tooMany = creation else { throw Unexpected("\(creation)") }
  }

  @Test(.checkout) func `both secrets sign for a day after a rotation`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    let new = try #require(try await checkout.rotateSecret(of: endpoint.id, by: .tester)).revealed()
    try await Self.orders(2, checkout)
    let secrets = try #require(try await checkout.claim(1).deliveries.first).secrets.map { $0.revealed() }
    #expect(secrets.count == 2 && secrets[0] == new && secrets[1] != new)
    try await pool.run(
      "update webhook_endpoints set previous_secret_until = previous_secret_until - interval '24 hours'")
    #expect(try #require(try await checkout.claim(1).deliveries.first).secrets.map { $0.revealed() } == [new])
  }

  @Test(.checkout) func `a test is delivered to its endpoint only`() async throws {
    let checkout = TestCheckout.current.checkout
    let endpoint = try await checkout.subscribe("order.paid")
    try await checkout.subscribe("*")
    let ids = [try await checkout.testEndpoint(endpoint.id), try await checkout.testEndpoint(endpoint.id)]
    let claim = try await checkout.claim()
    #expect(Set(claim.deliveries.map { EventID($0.eventID) }) == Set(ids.compactMap { $0 }))
    #expect(claim.deliveries.count == 2)
    #expect(claim.deliveries.allSatisfy { $0.endpointID == endpoint.id.uuid && $0.body.contains("endpoint.test") })
    #expect(try await checkout.events().events.isEmpty)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an endpoint gets no event from before its creation`() async throws {
    let checkout = TestCheckout.current.checkout
    try await checkout.setFeed([try #require(EventPattern(text: "*"))], by: .tester)
    try await Self.orders(1, checkout)
    let endpoint = try await checkout.subscribe("*")
    #expect(try await checkout.claim().deliveries.isEmpty)
    // Unless an operator asks for it.
    let recovery = try await checkout.recover(endpoint.id, since: Timestamp(microsecondsSince1970: 0), by: .tester)
    #expect(recovery?.pending == 1)
    #expect(try await checkout.claim().deliveries.count == 1)
  }

  @Test(.checkout) func `an endpoint that is gone is disabled, and its events are not written`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    try await checkout.record(try await checkout.claim(), 410)
    let endpoint = try await checkout.endpoints()[0]
    #expect(endpoint.status == .disabled && endpoint.disabledReason == .gone)
    try await Self.orders(1, checkout)
    #expect(try await pool.eventNames().count == 1)
    #expect(try await checkout.adminChanges().changes.contains { $0.action == "webhook_endpoint.disabled" })
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an endpoint that fails for three days is disabled, and gets its events once it is enabled`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    try await checkout.record(try await checkout.claim(1), 500)
    try await pool.run("update webhook_endpoints set failing_since = failing_since - interval '71 hours'")
    try await checkout.record(try await checkout.claim(1), 500)
    #expect(try await checkout.endpoints()[0].status == .enabled)
    try await pool.run(
      """
      update webhook_endpoints set failing_since = failing_since - interval '1 hour';
      update deliveries set next_at = clock_timestamp();
      """)
    try await checkout.record(try await checkout.claim(1), nil, error: "no answer")
    let endpoint = try await checkout.endpoints()[0]
    #expect(endpoint.status == .disabled && endpoint.disabledReason == .failing && endpoint.failures == 3)
    // Later events are kept.
    try await Self.orders(1, checkout)
    let claim = try await checkout.claim()
    #expect(claim.deliveries.isEmpty && claim.untilNext == nil)
    let enabled = try #require(try await checkout.enable(endpoint.id))
    #expect(enabled.status == .enabled && enabled.failures == 0 && enabled.failingSince == nil)
    #expect(try await checkout.claim().deliveries.count == 3)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a success ends the three days`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    try await checkout.record(try await checkout.claim(1), 500)
    try await pool.run("update webhook_endpoints set failing_since = failing_since - interval '4 days'")
    try await checkout.record(try await checkout.claim(1), 200)
    try await pool.run("update deliveries set next_at = clock_timestamp()")
    try await checkout.record(try await checkout.claim(), 500)
    #expect(try await checkout.endpoints()[0].status == .enabled)
  }

  @Test(.checkout) func `recovery sends what failed and what was missed, and nothing that was received`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await checkout.setFeed([try #require(EventPattern(text: "*"))], by: .tester)
    try await Self.orders(4, checkout)
    try await checkout.record(try await checkout.claim(1), 200)
    _ = try await checkout.claim(2)
    try await pool.run("update deliveries set status = 'failed', attempts = 12 where lease_id is not null")
    _ = try await checkout.enable(endpoint.id, .disabled)
    try await Self.orders(1, checkout)
    #expect(try await checkout.claim().deliveries.isEmpty)
    let recovery = try await checkout.recover(endpoint.id, since: Timestamp(microsecondsSince1970: 0), by: .tester)
    #expect(recovery?.pending == 4)
    let claim = try await checkout.claim()
    #expect(claim.deliveries.map(\.attempt) == [1, 1, 1, 1])
    #expect(try await checkout.endpoints()[0].status == .enabled)
    #expect(try await checkout.deliveries(status: .delivered).deliveries.count == 1)
    try await checkout.expectCleanAudit()
  }

  /// The endpoint is disabled, so its recovery also changes what is wanted of each product. The recovery must lock the
  /// products last.
  @Test(.checkout) func `a buyer does not wait while an endpoint is recovered`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    let endpoint = try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    _ = try await checkout.claim()
    try await pool.run("update deliveries set status = 'failed', lease_id = null")
    _ = try await checkout.enable(endpoint.id, .disabled)
    try await pool.holding("select from deliveries for update") { commit in
      async let recovery = checkout.recover(endpoint.id, since: Timestamp(microsecondsSince1970: 0), by: .tester)
      try await pool.untilBlocked(1)
      _ = try await checkout.hold(1, of: product)
      try await commit()
      #expect(try await recovery?.pending == 1)
    }
  }

  @Test(.checkout) func `recovery leaves what is older than its start`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    _ = try await checkout.claim()
    try await pool.run(
      """
      update deliveries set status = 'failed';
      update events set created_at = '2000-01-01' where id = (select id from events limit 1);
      """)
    let since = Timestamp(microsecondsSince1970: 1_000_000_000_000_000)
    #expect(try await checkout.recover(endpoint.id, since: since, by: .tester)?.pending == 1)
  }

  /// Retention is about to remove the event. A new delivery of it would have no event.
  @Test(.checkout) func `recovery leaves an event that is being removed`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    try await checkout.record(try await checkout.claim(), 200)
    try await pool.run(
      """
      delete from deliveries;
      update orders set created_at = clock_timestamp() - interval '31 days';
      update events set created_at = clock_timestamp() - interval '31 days';
      """)
    let hour: Int64 = 3_600_000_000  // microseconds
    try await pool.holding("select remove_old(1, 100, \(hour), \(hour), \(hour))") { commit in
      let since = Timestamp(microsecondsSince1970: 0)
      #expect(try await checkout.recover(endpoint.id, since: since, by: .tester)?.pending == 0)
      try await commit()
    }
    #expect(try await pool.integer("select count(*) from events") == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an event is delivered again on demand`() async throws {
    let checkout = TestCheckout.current.checkout
    try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    let claim = try await checkout.claim()
    try await checkout.record(claim, 200)
    let id = EventID(claim.deliveries[0].eventID)
    try await checkout.subscribe("order.placed")
    #expect(try await checkout.redeliver(id, by: .tester) == 2)
    let again = try await checkout.claim()
    #expect(again.deliveries.count == 2 && again.deliveries.allSatisfy { $0.eventID == id.uuid && $0.attempt == 1 })
    #expect(try await checkout.redeliver(EventID(UUID()), by: .tester) == nil)
    #expect(try await checkout.adminChanges().changes.count { $0.action == "event.redelivered" } == 1)
    try await checkout.expectCleanAudit()
  }

  /// The claim inserts a delivery that the deletion does not see, unless the deletion waits.
  @Test(.checkout) func `an endpoint that is deleted during a claim leaves no delivery`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    try await pool.holding("select claim_deliveries(gen_random_uuid(), 10)") { commit in
      async let isDeleted = checkout.deleteEndpoint(endpoint.id, by: .tester)
      try await pool.untilBlocked(1)
      try await commit()
      #expect(try await isDeleted)
    }
    #expect(try await pool.integer("select count(*) from deliveries") == 0)
    try await checkout.expectCleanAudit()
  }
}
