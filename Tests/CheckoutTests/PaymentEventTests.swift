import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct PaymentEventTests {
  @Test(.checkout) func `a success pays an order and a failure cancels it`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let paid = try await checkout.order(1, of: product)
    let cancelled = try await checkout.order(2, of: product)
    #expect(try await checkout.pay(paid.id, key: "a") == .decided(.applied, orderStatus: .paid, isReplay: false))
    #expect(
      try await checkout.pay(cancelled.id, .failed, key: "b")
        == .decided(.applied, orderStatus: .cancelled, isReplay: false))
    #expect(try await checkout.order(paid.id)?.paidAt != nil)
    #expect(try await checkout.availableStock(product) == 4)
    #expect(
      try await checkout.pay(paid.id, .failed, key: "c") == .decided(.ignored, orderStatus: .paid, isReplay: false))
    #expect(
      try await checkout.pay(cancelled.id, .failed, key: "d")
        == .decided(.ignored, orderStatus: .cancelled, isReplay: false))
    #expect(
      try await checkout.pay(paid.id, key: "e") == .decided(.refundDue, orderStatus: .paid, isReplay: false))
    #expect(try await checkout.availableStock(product) == 4)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a late success takes the units again if they are available`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 4)
    let first = try await checkout.order(3, of: product)
    let second = try await checkout.order(1, of: product)
    for order in [first, second] { _ = try await checkout.pay(order.id, .failed, key: "f\(order.id.holdText)") }
    let other = try await checkout.hold(2, of: product)
    #expect(
      try await checkout.pay(first.id, key: "late")
        == .decided(.refundDue, orderStatus: .cancelled, isReplay: false))
    #expect(
      try await checkout.pay(second.id, key: "late2") == .decided(.reacquired, orderStatus: .paid, isReplay: false))
    #expect(try await checkout.availableStock(product) == 1)
    // A lapsed hold counts as available for a late success too.
    try await pool.run("update holds set expires_at = clock_timestamp() where status = 'active'")
    #expect(
      try await checkout.pay(first.id, key: "later") == .decided(.reacquired, orderStatus: .paid, isReplay: false))
    #expect(try await checkout.hold(other.id)?.status == .expired)
    #expect(try await checkout.availableStock(product) == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(
    .checkout,
    arguments: [(nil, nil, true), (100, "USD", true), (101, nil, false), (100, "EUR", false), (nil, "EUR", false)])
  func `an event with a wrong amount pays no order`(amount: Int64?, currency: String?, fits: Bool) async throws {
    let checkout = TestCheckout.current.checkout
    let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    let outcome = try await checkout.pay(order.id, key: "k", amount: amount, currency: currency)
    #expect(
      outcome
        == .decided(
          fits ? .applied : .amountMismatch, orderStatus: fits ? .paid : .pendingPayment, isReplay: false))
  }

  @Test(.checkout) func `a repeated key is a replay, or refused with another payload`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let elsewhere = try await checkout.newProduct(stock: 5)
    let order = try await checkout.order(1, of: product)
    _ = try await checkout.pay(order.id, key: "k")
    #expect(try await checkout.pay(order.id, key: "k") == .decided(.applied, orderStatus: .paid, isReplay: true))
    #expect(try await checkout.pay(order.id, .failed, key: "k") == .keyReused)
    #expect(try await checkout.pay(order.id, key: "k", amount: 100) == .keyReused)
    let other = try await checkout.order(1, of: elsewhere)
    #expect(try await checkout.pay(other.id, key: "k") == .keyReused)
    #expect(try await checkout.order(other.id)?.status == .pendingPayment)
  }

  @Test(.checkout) func `many events under one key have one effect`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      let product = try await checkout.newProduct(stock: 5)
      let order = try await checkout.order(2, of: product)
      let outcomes = try await withThrowingTaskGroup(of: ApplyPaymentEvent.Outcome.self) { group in
        for index in 0..<60 {
          let status: PaymentEvent.Status = index % 3 == 0 ? .success : .failed
          group.addTask {
            try await (index.isMultiple(of: 2) ? checkout : other).pay(order.id, status, key: "k")
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      let fresh = outcomes.filter { if case .decided(_, _, isReplay: false) = $0 { true } else { false } }
      #expect(fresh.count == 1)
      let final = try #require(try await checkout.order(order.id))
      #expect(try await checkout.availableStock(product) == (final.status == .paid ? 3 : 5))
      #expect(outcomes.count { $0 == .keyReused } == (final.status == .paid ? 40 : 20))
      try await checkout.expectCleanAudit()
    }
  }

  /// Two servers get events of two orders under one key. The second must wait for the first, and then read the recorded
  /// event. Otherwise both would insert the key.
  @Test(.checkout) func `one key on two servers at once is recorded once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let first = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    let second = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
    let outcomes = try await pool.holding("lock table payment_events in exclusive mode") { commit in
      async let one = checkout.pay(first.id, key: "k")
      try await pool.untilBlocked(1)
      async let two = checkout.pay(second.id, key: "k")
      try await pool.untilBlocked(2)
      try await commit()
      return try await [one, two]
    }
    #expect(outcomes == [.decided(.applied, orderStatus: .paid, isReplay: false), .keyReused])
    #expect(try await pool.integer("select count(*) from payment_events") == 1)
    #expect(try await checkout.order(second.id)?.status == .pendingPayment)
    try await checkout.expectCleanAudit()
  }

  /// The failure returns the order's units, and the success takes them again.
  @Test(.database) func `an order cancelled and paid in one batch reclaims no lapsed holds`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 2)
    let order = "'00000001-6b02-8f00-9e3e-db626b23aa96'::uuid"
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 20, null, null, null, null);
      select reserve_holds(1, array[\(order)], '{1}', 60000000, null, null, null);
      select place_orders(1, array[\(order)], null, 60000000);
      select reserve_holds(1, array(select gen_random_uuid() from generate_series(1, 10)), array_fill(1, '{10}'), 0, null, null, null);
      select apply_payment_events(
          1, '{a,b}', array[\(order), \(order)], '{failed,success}', '{null,null}', '{null,null}');
      """)
    #expect(try await pool.integer("select count(*) from orders where status = 'paid'") == 1)
    #expect(try await pool.integer("select count(*) from holds where status = 'active'") == 10)
    #expect(try await pool.integer("select available_stock from products") == 9)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  @Test(.checkout) func `an event before its order is parked, then applied to the order`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    #expect(try await checkout.pay(hold.id, key: "k") == .decided(.parked, orderStatus: nil, isReplay: false))
    #expect(try await checkout.pay(hold.id, key: "k") == .decided(.parked, orderStatus: nil, isReplay: true))
    #expect(try await checkout.order(hold).status == .paid)
    #expect(try await checkout.pay(hold.id, key: "k") == .decided(.applied, orderStatus: .paid, isReplay: true))

    let failing = try await checkout.hold(2, of: product)
    _ = try await checkout.pay(failing.id, .failed, key: "f1")
    _ = try await checkout.pay(failing.id, .failed, key: "f2")
    #expect(try await checkout.order(failing).status == .cancelled)
    #expect(try await checkout.availableStock(product) == 3)
    #expect(
      try await checkout.pay(failing.id, .failed, key: "f2")
        == .decided(.ignored, orderStatus: .cancelled, isReplay: true))
    try await checkout.expectCleanAudit()
  }

  /// The keys do not change the order of the events.
  @Test(.checkout) func `parked events are applied in the order of their batch`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product)
    try await pool.run(
      """
      select apply_payment_events(
        \(product.id), '{b,a}', array_fill('\(hold.id.uuid)'::uuid, array[2]), '{success,failed}', '{null,null}',
        '{null,null}')
      """)
    #expect(try await checkout.order(hold).status == .paid)
    #expect(try await checkout.pay(hold.id, key: "b") == .decided(.applied, orderStatus: .paid, isReplay: true))
    #expect(
      try await checkout.pay(hold.id, .failed, key: "a") == .decided(.ignored, orderStatus: .paid, isReplay: true))
    try await checkout.expectCleanAudit()
  }

  /// The event must wait for the buyer. Otherwise it would stay parked:
  ///
  ///     buyer: places the order, finds no parked event
  ///     event: finds no order, is parked
  ///     buyer: commits
  @Test(.checkout) func `an event waits for an order that is being placed, and is applied`() async throws {
    let (checkout, pool) = TestCheckout.current
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    let outcome = try await pool.holding(
      "select place_orders(product_id, array[id], null, 900000000) from holds"
    ) { commit in
      async let outcome = checkout.pay(hold.id, key: "k")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .decided(.applied, orderStatus: .paid, isReplay: false))
    try await checkout.expectCleanAudit()
  }

  /// A batch has events of two orders, of which the second does not exist yet. The batch must lock the second order before
  /// it reads the order's status. Otherwise:
  ///
  ///     event:   locks the orders it finds, waits for the first
  ///     buyer:   places the second order
  ///     failure: locks the second order, cancels it, gives its units back
  ///     event:   finds the second order, still pending, waits for its row, pays it
  ///     failure: commits
  @Test(.checkout) func `an order that is placed while an event waits is locked, too`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let first = try await checkout.order(1, of: product)
    let hold = try await checkout.hold(1, of: product)
    func events(_ keys: String, _ ids: [ReservationID], _ status: String) -> String {
      let ids = ids.map { "'\($0.uuid)'::uuid" }.joined(separator: ", ")
      return """
        select apply_payment_events(
          \(product.id), '{\(keys)}', array[\(ids)], array_fill('\(status)'::text, array[cardinality(array[\(ids)])]),
          array_fill(null::bigint, array[cardinality(array[\(ids)])]),
          array_fill(null::text, array[cardinality(array[\(ids)])]))
        """
    }
    let success = events("a,b", [first.id, hold.id], "success")
    let failure = events("c", [hold.id], "failed")
    try await pool.holding("select from orders for update") { unlock in
      async let event: Void = pool.run(success)
      try await pool.untilBlocked(1)
      _ = try await checkout.order(hold)
      try await pool.holding(failure) { commit in
        try await unlock()
        try await until("the event waits for the failure") {
          try await pool.integer(
            """
            select count(*) from pg_stat_activity a
            join pg_stat_activity b on b.pid = any (pg_blocking_pids(a.pid))
            where b.query like '%''failed''%' and a.query like '%''success''%'
            """) == 1
        }
        try await commit()
      }
      try await event
    }
    #expect(try await pool.integer("select count(*) from payment_events where verdict = 'reacquired'") == 1)
    try await checkout.expectCleanAudit()
  }

  /// Both transactions want the order's row, and either can be first.
  @Test(.database, arguments: [true, false])
  func `a failure and an expiry of one order return its units once`(failureIsFirst: Bool) async throws {
    let url = TestDatabase.url
    // No server runs here. The test makes a worker's call, run_due_jobs.
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(Self.overdueOrder)
    let event = "select apply_payment_events(1, '{k}', array(select id from orders), '{failed}', '{null}', '{null}')"
    if failureIsFirst {
      try await pool.holding(event) { _ in
        // The worker does not wait for long, and postpones the job.
        try await pool.run("select \(dueJobs())")
        #expect(try await pool.integer("select failures from scheduled_jobs where kind = 'expire_orders'") == 1)
      }
      try await pool.run("update scheduled_jobs set retry_at = run_at where failures > 0")
      try await pool.run("select \(dueJobs(isPatient: true))")
    } else {
      try await pool.holding("select \(dueJobs())") { commit in
        async let second: Void = pool.run(event)
        try await pool.untilBlocked(1)
        try await commit()
        try await second
      }
    }
    #expect(try await pool.integer("select available_stock from products") == 5)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  @Test(.database) func `a success pays an overdue order that is not expired yet`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(Self.overdueOrder)
    try await pool.run(
      "select apply_payment_events(1, '{k}', array(select id from orders), '{success}', '{null}', '{null}')")
    try await pool.run("select \(dueJobs())")
    #expect(try await pool.integer("select count(*) from orders where status = 'paid'") == 1)
    #expect(try await pool.integer("select available_stock from products") == 3)
    #expect(try await Audit.run(on: pool).isClean)
    await pool.close()
  }

  /// Product 1 with a stock of 5, and an order of 2 units whose payment was due at once.
  private static let overdueOrder = """
    select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
    select reserve_holds(1, array['00000001-6b02-8f00-9e3e-db626b23aa96'::uuid], '{2}', 60000000, null, null, null);
    select place_orders(1, array['00000001-6b02-8f00-9e3e-db626b23aa96'::uuid], null, 0);
    """

  @Test(.checkout) func `payment events are listed newest first`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    for key in ["a", "b", "c"] { _ = try await checkout.pay(try await checkout.hold(1, of: product).id, key: key) }
    let events = try await checkout.paymentEvents().events
    #expect(events.map(\.event.idempotencyKey) == ["c", "b", "a"])
    #expect(events.allSatisfy { $0.verdict == .parked && $0.orderStatus == nil })
  }
}
