import Foundation
import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Servers lease deliveries, and record their results.
@Suite struct DeliveryTests {
  /// Places this many orders, each with an event `order.placed`.
  static func orders(_ count: Int, _ checkout: Checkout) async throws {
    let product = try await checkout.newProduct(stock: Int32(count))
    for _ in 1...count { _ = try await checkout.order(1, of: product) }
  }

  private static let due = "update deliveries set next_at = clock_timestamp() where status = 'pending'"

  @Test(.checkout) func `a claim has all that is needed to send the event`() async throws {
    let (checkout, pool) = TestCheckout.current
    let creation = try await checkout.createEndpoint(
      CreateEndpoint(url: "https://shop.example/a?b=c", events: [#require(EventPattern(text: "order.*"))]),
      by: .tester)
    guard case .created(let endpoint, let secret) = creation else { throw Unexpected("\(creation)") }
    #expect(secret.revealed().wholeMatch(of: /whsec_[A-Za-z0-9+\/]{32}/) != nil)
    try await Self.orders(1, checkout)
    let claim = try await checkout.claim()
    let delivery = try #require(claim.deliveries.first)
    #expect(claim.deliveries.count == 1 && delivery.attempt == 1)
    #expect(delivery.endpointID == endpoint.id.uuid && delivery.url == "https://shop.example/a?b=c")
    #expect(delivery.secrets.map { $0.revealed() } == [secret.revealed()])
    let body = try JSONSerialization.jsonObject(with: Data(delivery.body.utf8)) as? [String: Any]
    #expect(body?["id"] as? String == delivery.id && delivery.id.hasPrefix("evt_0000000"))
    #expect(EventID(text: delivery.id)?.productID == delivery.productID)
    #expect(body?["type"] as? String == "order.placed")
    #expect((body?["timestamp"] as? String)?.wholeMatch(of: /\d{4}-.*\.\d{3}Z/) != nil)
    #expect((body?["data"] as? [String: Any])?["status"] as? String == "pending_payment")
    #expect(body?.count == 4)
    try await checkout.record(claim, 204)
    #expect(try await checkout.claim().deliveries.isEmpty)
    #expect(try await checkout.claim().untilNext == nil)
    let record = try #require(try await checkout.deliveries().deliveries.first)
    #expect(record.status == .delivered && record.statusCode == 204 && record.attempts == 1 && record.nextAt == nil)
    #expect(try await pool.integer("select count(*) from event_batches") == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `two servers that claim at once get different deliveries`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      try await checkout.subscribe("order.*")
      try await checkout.subscribe("*")
      try await Self.orders(40, checkout)
      let claims = try await withThrowingTaskGroup(of: Claim.self) { group in
        for index in 0..<12 { group.addTask { try await (index.isMultiple(of: 2) ? checkout : other).claim(10) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      var all = claims.flatMap(\.deliveries)
      for _ in 1...20 { all += try await other.claim(20).deliveries }
      #expect(all.count == 80)
      #expect(Set(all.map { "\($0.eventID) \($0.endpointID)" }).count == 80)
      #expect(all.allSatisfy { $0.attempt == 1 })
      try await checkout.expectCleanAudit()
    }
  }

  @Test(.checkout) func `a claim passes over deliveries that another server is leasing`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(4, checkout)
    #expect(try await checkout.claim(1).deliveries.count == 1)
    try await pool.holding("select claim_deliveries(gen_random_uuid(), 2)") { _ in
      let claimed = try await checkout.claim().deliveries
      #expect(claimed.count == 1)
    }
    #expect(try await pool.integer("select sum(attempts) from deliveries") == 4)
  }

  /// The first server is suspended while it delivers. Its late result must not undo the result of the second one.
  @Test(.checkout) func `after its lease a delivery goes to another server, and the old result does not count`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    let first = try await checkout.claim()
    #expect(try await checkout.claim().deliveries.isEmpty)
    let untilNext = try #require(try await checkout.claim().untilNext)
    #expect(untilNext > .seconds(20) && untilNext <= .seconds(30))
    try await pool.run(Self.due)
    let second = try await checkout.claim()
    #expect(second.deliveries.map(\.attempt) == [1])
    try await checkout.record(first, 500)
    #expect(try await checkout.deliveries().deliveries[0].isLeased)
    #expect(try await checkout.endpoints()[0].failures == 0)
    try await checkout.record(second, 200)
    try await checkout.record(first, 500)
    #expect(try await checkout.deliveries().deliveries[0].status == .delivered)
    #expect(try await checkout.endpoints()[0].failures == 0)
  }

  @Test(.checkout) func `a result that is recorded again counts once`() async throws {
    let checkout = TestCheckout.current.checkout
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    let claim = try await checkout.claim()
    for _ in 1...3 { try await checkout.record(claim, nil, error: "refused\0") }
    #expect(try await checkout.endpoints()[0].failures == 1)
    #expect(try await checkout.deliveries().deliveries[0].error == "refused ")
  }

  /// The pause after each attempt, in seconds.
  static let pauses: [(attempt: Int, seconds: Int64)] = [
    (1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (6, 3600), (7, 10_800), (8, 21_600), (9, 43_200), (10, 86_400),
    (11, 86_400),
  ]

  @Test(.checkout, arguments: pauses)
  func `a failed delivery is tried again after its pause`(attempt: Int, seconds: Int64) async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(2, checkout)
    _ = try await checkout.claim()
    try await pool.run("\(Self.due); update deliveries set attempts = \(attempt - 1), lease_id = null")
    let claim = try await checkout.claim()
    #expect(claim.deliveries.map(\.attempt) == [Int32(attempt), Int32(attempt)])
    try await checkout.record(claim, 503)
    let (shortest, longest) = (
      try await pool.integer("select min(extract(epoch from next_at - last_attempt_at) * 1000) from deliveries"),
      try await pool.integer("select max(extract(epoch from next_at - last_attempt_at) * 1000) from deliveries")
    )
    #expect(shortest >= seconds * 800 && longest <= seconds * 1200)
    // The pauses of deliveries differ, so that they do not come back together.
    #expect(shortest < longest)
    #expect(try await checkout.deliveries(status: .pending).deliveries.count == 2)
  }

  @Test(.checkout) func `after twelve attempts a delivery has failed`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    _ = try await checkout.claim()
    try await pool.run("\(Self.due); update deliveries set attempts = 11, lease_id = null")
    try await checkout.record(try await checkout.claim(), 500)
    let record = try await checkout.deliveries().deliveries[0]
    #expect(record.status == .failed && record.attempts == 12 && record.statusCode == 500)
    #expect(try await checkout.claim().untilNext == nil)
  }

  /// A slow endpoint has more deliveries leased than a server can send within the lease.
  @Test(.checkout) func `leases that end without a result are no attempts`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    for _ in 1...12 {
      #expect(try await checkout.claim().deliveries.map(\.attempt) == [1])
      try await pool.run(Self.due)
    }
    try await checkout.record(try await checkout.claim(), 500)
    let record = try await checkout.deliveries().deliveries[0]
    #expect(record.status == .pending && record.attempts == 1)
  }

  /// What the endpoint asks for, and the shortest pause in seconds.
  static let retries: [(retryAfter: Duration, seconds: Int64)] = [
    (.seconds(300), 300), (.seconds(90_000), 86_400), (.zero, 4), (.seconds(1), 4),
  ]

  @Test(.checkout, arguments: retries)
  func `Retry-After prolongs the pause up to a day`(retryAfter: Duration, seconds: Int64) async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    try await checkout.record(try await checkout.claim(), 429, retryAfter: retryAfter)
    let pause = try await pool.integer("select extract(epoch from next_at - last_attempt_at) from deliveries")
    #expect(seconds...max(seconds, 6) ~= pause)
  }

  @Test(.checkout) func `after five failures one delivery at a time is tried`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(8, checkout)
    try await checkout.record(try await checkout.claim(5), 500)
    #expect(try await checkout.endpoints()[0].failures == 5)
    try await pool.run(Self.due)
    // The next probe comes after a pause.
    #expect(try await checkout.claim().deliveries.isEmpty)
    let untilNext = try #require(try await checkout.claim().untilNext)
    #expect(untilNext > .seconds(2))
    try await pool.run("update webhook_endpoints set probe_at = clock_timestamp()")
    let probe = try await checkout.claim()
    #expect(probe.deliveries.count == 1)
    #expect(try await checkout.claim().deliveries.isEmpty)
    // The others keep their attempts.
    #expect(try await pool.integer("select sum(attempts) from deliveries") == 6)
    try await checkout.record(probe, 200)
    #expect(try await checkout.endpoints()[0].failures == 0)
    #expect(try await checkout.endpoints()[0].failingSince == nil)
    #expect(try await checkout.claim().deliveries.count == 7)
  }

  /// How long the endpoint has failed, and the pause before the next probe, in seconds. Forty deliveries fail at once.
  @Test(.checkout, arguments: [(0, 5), (60, 60), (86_400, 300)])
  func `the pause before a probe grows with the time of failures`(failing: Int64, pause: Int64) async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(41, checkout)
    try await checkout.record(try await checkout.claim(1), 503)
    try await pool.run("update webhook_endpoints set failing_since = failing_since - interval '\(failing) seconds'")
    try await checkout.record(try await checkout.claim(40), 503)
    #expect(try await checkout.endpoints()[0].failures == 41)
    let seconds = try await pool.integer(
      "select extract(epoch from e.probe_at - d.last) from webhook_endpoints e, "
        + "(select max(last_attempt_at) as last from deliveries) d")
    #expect(pause...pause + 5 ~= seconds)
  }

  /// Both servers find the endpoint without a probe, unless the second one sees the lease of the first.
  @Test(.checkout) func `two servers send one probe`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(8, checkout)
    try await checkout.record(try await checkout.claim(5), 500)
    try await pool.run("\(Self.due); update webhook_endpoints set probe_at = clock_timestamp()")
    let second = try await pool.holding("select claim_deliveries(gen_random_uuid(), 10)") { commit in
      // It does not wait for the first server.
      #expect(try await checkout.claim().deliveries.isEmpty)
      try await commit()
      return try await checkout.claim()
    }
    #expect(second.deliveries.isEmpty)
    #expect(try await pool.integer("select count(*) from deliveries where lease_id is not null") == 1)
  }

  @Test(.checkout) func `successes and failures of one batch count in their order`() async throws {
    let checkout = TestCheckout.current.checkout
    try await checkout.subscribe("order.*")
    try await Self.orders(4, checkout)
    let claim = try await checkout.claim()
    try await checkout.recordDeliveries(
      zip(claim.deliveries, [500, 200, 500, 500]).map { DeliveryResult(of: $0, statusCode: $1) },
      leaseID: claim.leaseID)
    #expect(try await checkout.endpoints()[0].failures == 2)
  }

  @Test(.checkout) func `an endpoint with many deliveries leaves room for another`() async throws {
    let (checkout, pool) = TestCheckout.current
    let busy = try await checkout.subscribe("order.*")
    try await Self.orders(20, checkout)
    _ = try await checkout.claim()
    try await pool.run(Self.due)
    let other = try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    let claim = try await checkout.claim(10)
    #expect(claim.deliveries.count { $0.endpointID == busy.id.uuid } == 5)
    #expect(claim.deliveries.count { $0.endpointID == other.id.uuid } == 1)
  }

  /// A server whose places are nearly all taken claims one delivery at a time.
  @Test(.checkout) func `endpoints with many deliveries leave room for a probe and for each other`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoints = [
      try await checkout.subscribe("order.*"), try await checkout.subscribe("order.*"),
      try await checkout.subscribe("order.*"),
    ]
    try await Self.orders(40, checkout)
    let probed = endpoints[0].id.uuid
    try await pool.run(
      "update webhook_endpoints set failures = 5, failing_since = clock_timestamp() where id = '\(probed)'")
    var served: [UUID] = []
    for _ in 1...40 { served += try await checkout.claim(1).deliveries.map(\.endpointID) }
    #expect(served.count == 40 && served.first == probed)
    #expect(served.count { $0 == probed } == 1)
    #expect(Set(served) == Set(endpoints.map(\.id.uuid)))
  }

  /// Events that cannot be sent yet wait as batches, which cost least.
  @Test(.checkout) func `batches wait until an endpoint is short of deliveries`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    try await Self.orders(40, checkout)
    #expect(try await checkout.claim(10).deliveries.count == 10)
    try await Self.orders(5, checkout)
    #expect(try await checkout.claim(10).deliveries.count == 10)
    #expect(try await pool.integer("select count(*) from event_batches") == 5)
    #expect(try await checkout.claim().deliveries.count == 25)
    #expect(try await pool.integer("select count(*) from event_batches") == 0)
  }

  @Test(.checkout) func `deliveries are leased from the oldest event on`() async throws {
    let checkout = TestCheckout.current.checkout
    try await checkout.subscribe("order.*")
    let product = try await checkout.newProduct(stock: 2)
    for key in ["a", "b"] { _ = try await checkout.pay(try await checkout.order(1, of: product).id, key: key) }
    var types: [String] = []
    for _ in 1...4 {
      let body = try #require(try await checkout.claim(1).deliveries.first).body
      types.append(body.contains("order.placed") ? "placed" : "paid")
    }
    #expect(types == ["placed", "paid", "placed", "paid"])
  }

  @Test(.checkout) func `a transaction that commits late is delivered`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let product = try await checkout.newProduct(stock: 1)
    let hold = try await checkout.hold(1, of: product)
    try await pool.holding(
      "select place_orders(\(product.id), array['\(hold.id.uuid)'::uuid], null, 900000000)"
    ) { commit in
      try await Self.orders(1, checkout)
      #expect(try await checkout.claim().deliveries.map(\.productID) == [product.id + 1])
      try await commit()
    }
    #expect(try await checkout.claim().deliveries.map(\.productID) == [product.id])
  }

  @Test(.checkout) func `deliveries are listed in pages, newest first`() async throws {
    let (checkout, pool) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await Self.orders(1, checkout)
    _ = try await checkout.claim()
    // One moment for several: the id tells them apart.
    try await pool.run(
      """
      insert into events (product_id, id, type, object_id, version, created_at, data)
      select 1, ('00000001-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'order.placed', n::text, 1, now(), '{}'
      from generate_series(1, 250) n;
      insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at, status)
      select 1, id, '\(endpoint.id.uuid)', now(), date_trunc('minute', now()), 'failed' from events where object_id <> '1'
      on conflict do nothing;
      """)
    var ids: [EventID] = []
    var cursor: DeliveryPage.Cursor?
    repeat {
      let page = try await checkout.deliveries(to: endpoint.id, from: cursor)
      ids += page.deliveries.map(\.eventID)
      cursor = page.next.flatMap { DeliveryPage.Cursor(text: $0.text) }
    } while cursor != nil
    #expect(ids.count == Set(ids).count)
    #expect(Int64(ids.count) == (try await pool.integer("select count(*) from deliveries")))
    let one = try await checkout.deliveries(of: ids[3]).deliveries
    #expect(one.map(\.eventID) == [ids[3]])
    #expect(try await checkout.deliveries(status: .pending).deliveries.count == 1)
    for text in ["", "1-2-3", "x-\(ids[0].text)-\(endpoint.id.text)", "-1-\(ids[0].text)-\(endpoint.id.text)"] {
      #expect(DeliveryPage.Cursor(text: text) == nil)
    }
  }
}
