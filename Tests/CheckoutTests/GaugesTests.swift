import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct GaugesTests {
  private struct Reading {
    let gauges: [Gauge]

    init(_ checkout: Checkout) async { gauges = await checkout.gauges() }

    subscript(name: String, labels: (String, String)...) -> Double? {
      gauges.first { gauge in
        gauge.metric.name == "flashsale_" + name && gauge.labels.count == labels.count
          && labels.allSatisfy { label in gauge.labels.contains { $0 == label } }
      }?.value
    }
  }

  @Test(.checkout) func `product_available_stock counts lapsed holds as available`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    _ = try await checkout.hold(3, of: product)
    let id = ("product_id", "\(product.id)")
    #expect(await Reading(checkout)["product_total_stock", id] == 10)
    #expect(await Reading(checkout)["product_available_stock", id] == 7)
    // No job is due, so no worker expires the hold.
    try await database.run("update holds set expires_at = clock_timestamp() - interval '1 s'")
    #expect(await Reading(checkout)["product_available_stock", id] == 10)
    #expect(try await database.integer("select available_stock from products") == 7)
  }

  @Test(.checkout) func `waiting money has a count, an amount and an age`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10, price: 100)
    let none = await Reading(checkout)
    for verdict in ["refund_due", "amount_mismatch", "parked"] {
      #expect(none["money_waiting_events", ("verdict", verdict)] == 0)
      #expect(none["money_waiting_oldest_seconds", ("verdict", verdict)] == 0)
    }
    #expect(!none.gauges.contains { $0.metric.name == "flashsale_money_waiting_amount" })

    let order = try await checkout.order(2, of: product)
    _ = try await checkout.pay(order.id, key: "pays")
    // Two events are money, one of them with an amount. The failure is not.
    _ = try await checkout.pay(order.id, key: "again")
    _ = try await checkout.pay(order.id, key: "and again", amount: 200, currency: "USD")
    _ = try await checkout.pay(order.id, .failed, key: "no money")
    // These amounts are not the order's. No product has the currency of the second.
    _ = try await checkout.pay(order.id, key: "too little", amount: 150)
    _ = try await checkout.pay(order.id, key: "elsewhere", amount: 200, currency: "XXX")
    // Before the order: a success without an amount, one with an amount, and a failure.
    let early = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(early.id, key: "early")
    _ = try await checkout.pay(early.id, key: "early too", amount: 70, currency: "USD")
    _ = try await checkout.pay(early.id, .failed, key: "early failure")
    try await database.run(
      """
      update payment_events set received_at = clock_timestamp() - interval '100 s' where idempotency_key = 'again';
      update payment_events set received_at = clock_timestamp() - interval '900 s' where idempotency_key = 'pays'
      """)

    let reading = await Reading(checkout)
    #expect(reading["money_waiting_events", ("verdict", "refund_due")] == 2)
    #expect(reading["money_waiting_events", ("verdict", "amount_mismatch")] == 2)
    #expect(reading["money_waiting_events", ("verdict", "parked")] == 2)
    #expect(reading["money_waiting_amount", ("verdict", "refund_due"), ("currency", "USD")] == 400)
    #expect(reading["money_waiting_amount", ("verdict", "amount_mismatch"), ("currency", "USD")] == 150)
    #expect(reading["money_waiting_amount", ("verdict", "parked"), ("currency", "USD")] == 70)
    #expect(!reading.gauges.contains { $0.labels.contains { $0.1 == "XXX" } })
    let age = try #require(reading["money_waiting_oldest_seconds", ("verdict", "refund_due")])
    #expect(100...160 ~= age)
    #expect(try #require(reading["money_waiting_oldest_seconds", ("verdict", "parked")]) < 60)
  }

  @Test(.checkout) func `jobs_due counts a job that no worker runs`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    #expect(await Reading(checkout)["jobs_due"] == 0)
    _ = try await checkout.hold(1, of: product)
    // Workers skip a locked job.
    try await database.run(
      "update scheduled_jobs set run_at = clock_timestamp() + interval '0.2 s' where kind = 'expire_holds'")
    try await database.holding("select from scheduled_jobs for update") { _ in
      try await until("the job is due") { await Reading(checkout)["jobs_due"] == 1 }
      #expect(try #require(await Reading(checkout)["jobs_oldest_lag_seconds"]) > 0)
    }
  }

  @Test(.checkout) func `event deliveries have a count, an age and the number of endpoints`() async throws {
    let (checkout, database) = TestCheckout.current
    let none = await Reading(checkout)
    #expect(none["event_deliveries_pending"] == 0 && none["event_deliveries_oldest_seconds"] == 0)
    #expect(none["webhook_endpoints", ("status", "enabled")] == 0)
    #expect(none["webhook_endpoints", ("status", "disabled")] == 0)

    let endpoints = [try await checkout.subscribe("order.*"), try await checkout.subscribe("order.*")]
    try await DeliveryTests.orders(3, checkout)
    try await checkout.record(checkout.claim(), 500)
    try await database.run("update deliveries set created_at = clock_timestamp() - interval '100 s'")
    let waiting = await Reading(checkout)
    #expect(waiting["event_deliveries_pending"] == 6)
    #expect(100...160 ~= (try #require(waiting["event_deliveries_oldest_seconds"])))
    #expect(waiting["webhook_endpoints", ("status", "enabled")] == 2)

    for endpoint in endpoints { _ = try await checkout.enable(endpoint.id, .disabled) }
    let disabled = await Reading(checkout)
    #expect(disabled["event_deliveries_pending"] == 0 && disabled["event_deliveries_oldest_seconds"] == 0)
    #expect(disabled["webhook_endpoints", ("status", "disabled")] == 2)
  }

  /// The response comes while the monitor still waits for it.
  @Test(.checkout) func `database_up is 0 when the database does not answer`() async throws {
    let (checkout, database) = TestCheckout.current
    try await database.holding("lock table payment_events") { _ in
      let reading = await Reading(checkout)
      #expect(reading["database_up"] == 0 && reading["jobs_due"] == nil)
    }
    try await until("the database answers again") { await Reading(checkout)["database_up"] == 1 }
  }

  @Test(.checkout) func `gauges show the size of the pool and its waiting callers`() async throws {
    let checkout = TestCheckout.current.checkout
    let reading = await Reading(checkout)
    #expect(reading["database_up"] == 1 && reading["pool_size"] == Double(Pool.defaultSize))
    #expect(reading["pool_waiting"] == 0)
  }
}
