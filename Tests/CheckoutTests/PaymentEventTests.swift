import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct PaymentEventTests {
  @Test func aSuccessPaysAndAFailureCancels() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
    }
  }

  @Test func aLateSuccessTakesTheUnitsAgainIfItCan() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  @Test(arguments: [(nil, nil, true), (100, "USD", true), (101, nil, false), (100, "EUR", false), (nil, "EUR", false)])
  func anAmountThatIsNotTheOrdersChangesNothing(amount: Int64?, currency: String?, fits: Bool) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let order = try await checkout.order(1, of: try await checkout.newProduct(stock: 1))
        let outcome = try await checkout.pay(order.id, key: "k", amount: amount, currency: currency)
        #expect(
          outcome
            == .decided(
              fits ? .applied : .amountMismatch, orderStatus: fits ? .paid : .pendingPayment, isReplay: false))
      }
    }
  }

  @Test func theSameKeyAgainIsAReplayAndWithAnotherPayloadRefused() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
    }
  }

  @Test func oneBatchWithAKeyManyTimesHasOneEffect() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
    }
  }

  /// One key comes to two servers at once for two orders. Both get as far as writing it down, unless the second waits
  /// for the first and then looks at what is recorded.
  @Test func oneKeyOnTwoServersAtOnceIsRecordedOnce() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  /// The order's own units come back with the first event and go with the second: nobody else's are touched.
  @Test func lapsedHoldsAreNotReclaimedForAnOrderThatIsCancelledAndPaidTogether() async throws {
    try await TestDatabases.withDatabase { url in
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
  }

  @Test func anEventBeforeItsOrderIsParkedAndAppliedWhenTheOrderIsPlaced() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
    }
  }

  /// Events that came in one batch wait for their order in the order in which they came, whatever their keys are.
  @Test func parkedEventsAreAppliedInTheOrderOfTheirBatch() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  /// The event comes when the order has been placed but not committed, after its transaction looked for parked events.
  @Test func anEventThatMeetsItsOrderBeingPlacedIsNotForgotten() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  /// An event finds no order, and waits for another one's lock. Meanwhile its order is placed, and another server takes a
  /// failure of it. The event must see that order as missing and lock it, not take it as it stood before the failure:
  ///
  ///     event:   locks the orders it finds, waits for the first
  ///     buyer:   places the second order
  ///     failure: locks the second order, cancels it, gives its units back
  ///     event:   finds the second order, still pending, waits for its row, pays it
  ///     failure: commits
  @Test func anOrderPlacedWhileAnEventWaitsForAnotherIsLockedToo() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  /// A failure and the end of the payment window meet at the order's row: its units come back once, whoever is first.
  @Test(arguments: [true, false])
  func aFailureAndAnExpiryOfOneOrderGiveItsUnitsBackOnce(failureIsFirst: Bool) async throws {
    try await TestDatabases.withDatabase { url in
      // No server runs here, so no worker but the one below: run_due_jobs is what a worker calls.
      let pool = Pool(ConnectionConfiguration(url: url), size: 4)
      try await pool.run(Self.overdueOrder)
      let event = "select apply_payment_events(1, '{k}', array(select id from orders), '{failed}', '{null}', '{null}')"
      if failureIsFirst {
        try await pool.holding(event) { _ in
          // A worker does not wait for long: it puts the job off.
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
  }

  @Test func aSuccessBeforeTheWorkerComesStillPays() async throws {
    try await TestDatabases.withDatabase { url in
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
  }

  /// Product 1 with a stock of 5, and an order of 2 units whose payment was due at once.
  private static let overdueOrder = """
    select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null);
    select reserve_holds(1, array['00000001-6b02-8f00-9e3e-db626b23aa96'::uuid], '{2}', 60000000, null, null, null);
    select place_orders(1, array['00000001-6b02-8f00-9e3e-db626b23aa96'::uuid], null, 0);
    """

  @Test func theListShowsTheNewestFirst() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let product = try await checkout.newProduct(stock: 5)
        for key in ["a", "b", "c"] { _ = try await checkout.pay(try await checkout.hold(1, of: product).id, key: key) }
        let events = try await checkout.paymentEvents().events
        #expect(events.map(\.event.idempotencyKey) == ["c", "b", "a"])
        #expect(events.allSatisfy { $0.verdict == .parked && $0.orderStatus == nil })
      }
    }
  }
}
