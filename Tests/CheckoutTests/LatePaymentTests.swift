import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Successes that come after their order was cancelled or expired. A customer may have two units of the product.
@Suite struct LatePaymentTests {
  /// Lends a product with a limit, and a cancelled order of a customer for two units.
  private func withCancelledOrder(
    perCustomer: Int32? = 2,
    _ body: @escaping @Sendable (Checkout, Pool, Product, ReservationID) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(
          CreateProduct(name: "Cap", price: 100, currency: "USD", stock: 20, maximumPerCustomer: perCustomer))
        let order = try await checkout.order(checkout.hold(2, of: product, for: "ada"))
        _ = try await checkout.pay(order.id, .failed, key: "failed")
        try await body(checkout, pool, product, order.id)
        try await checkout.expectCleanAudit()
      }
    }
  }

  private static let refused = ApplyPaymentEvent.Outcome.decided(.refundDue, orderStatus: .cancelled, isReplay: false)
  private static let taken = ApplyPaymentEvent.Outcome.decided(.reacquired, orderStatus: .paid, isReplay: false)

  @Test func `a late success does not lift a customer above the limit`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      let hold = try await checkout.hold(1, of: product, for: "ada")
      #expect(try await checkout.pay(late, key: "late") == Self.refused)
      #expect(try await checkout.availableStock(product) == 19)
      _ = try await checkout.releaseHold(hold.id)
      #expect(try await checkout.pay(late, key: "later") == Self.taken)
      #expect(try await checkout.availableStock(product) == 18)
    }
  }

  @Test func `a late success does not count other customers' units`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      _ = try await checkout.hold(2, of: product, for: "bob")
      #expect(try await checkout.pay(late, key: "late") == Self.taken)
    }
  }

  @Test(.checkout) func `an order without a customer has no limit`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 20)
    let order = try await checkout.order(5, of: product)
    _ = try await checkout.pay(order.id, .failed, key: "failed")
    var changes = UpdateProduct(productID: product.id)
    changes.maximumPerCustomer = .set(2)
    _ = try await checkout.updateProduct(changes)
    #expect(try await checkout.pay(order.id, key: "late") == Self.taken)
    try await checkout.expectCleanAudit()
  }

  @Test func `late successes of one customer in one batch share the limit`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      let second = try await checkout.order(checkout.hold(2, of: product, for: "ada"))
      _ = try await checkout.pay(second.id, .failed, key: "failed too")
      try await pool.run(Self.events(product, [(late, "success"), (second.id, "success")]))
      #expect(try await pool.integer("select count(*) from orders where status = 'paid'") == 1)
      #expect(try await pool.integer("select count(*) from payment_events where verdict = 'refund_due'") == 1)
    }
  }

  @Test func `a failure frees units only for later successes of its batch`() async throws {
    for isFailureFirst in [true, false] {
      try await withCancelledOrder { checkout, pool, product, late in
        let second = try await checkout.order(checkout.hold(2, of: product, for: "ada"))
        let events = [(second.id, "failed"), (late, "success")]
        try await pool.run(Self.events(product, isFailureFirst ? events : events.reversed()))
        #expect(try await checkout.order(second.id)?.status == .cancelled)
        #expect(try await checkout.order(late)?.status == (isFailureFirst ? .paid : .cancelled))
      }
    }
  }

  /// The late success of the other order takes the units that the failure returns.
  @Test func `a success after a failure of its order stays within the limit`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      let second = try await checkout.order(checkout.hold(2, of: product, for: "ada"))
      try await pool.run(Self.events(product, [(second.id, "failed"), (late, "success"), (second.id, "success")]))
      #expect(try await checkout.order(late)?.status == .paid)
      #expect(try await checkout.order(second.id)?.status == .cancelled)
    }
  }

  /// Another server has made the hold, and has not committed. Without it in the count, the customer would get both.
  @Test func `a late success waits for a hold of its customer that is being made`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      let outcome = try await pool.holding(
        "select reserve_holds(\(product.id), array[gen_random_uuid()], '{1}', 60000000, null, '{ada}', '{1}')"
      ) { commit in
        async let outcome = checkout.pay(late, key: "late")
        try await pool.untilBlocked(1)
        let free = try await pool.integer("select count(*) from (select from orders for update skip locked) free")
        #expect(free == 1, "the customer is locked before the order")
        try await commit()
        return try await outcome
      }
      #expect(outcome == Self.refused)
    }
  }

  @Test func `a hold waits for a late success of its customer`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      let outcome = try await pool.holding(Self.events(product, [(late, "success")])) { commit in
        async let outcome = checkout.reserveHold(productID: product.id, quantity: 1, customerID: "ada")
        try await pool.untilBlocked(1)
        try await commit()
        return try await outcome
      }
      guard case .customerLimitReached = outcome else { throw Unexpected("\(outcome)") }
    }
  }

  /// The customer's hold becomes an order in time, and lapses before the order is committed:
  ///
  ///     buyer:   locks the hold, waits for another lock
  ///     payment: finds the hold lapsed, does not count it, takes the units of the late order, commits
  ///     buyer:   commits; the customer has two orders
  @Test func `a late success waits for an order of its customer that is being placed`() async throws {
    try await withCancelledOrder { checkout, pool, product, late in
      // With these lapsed holds, the payment does not need the units of the customer's hold.
      for _ in 0..<2 { _ = try await checkout.hold(1, of: product, for: "bob") }
      let hold = try await checkout.hold(2, of: product, for: "ada")
      let outcome = try await pool.holding("select pg_advisory_xact_lock(job_lock(\(product.id)))") { commit in
        try await pool.run(
          """
          update holds set expires_at = clock_timestamp() where customer_id = 'bob';
          update holds set expires_at = clock_timestamp() + interval '1 s' where id = '\(hold.id.uuidText)'
          """)
        async let order = checkout.order(hold)
        try await Self.untilBlocked("place_orders", pool)
        try await until("the hold has lapsed") {
          try await pool.integer(
            "select count(*) from holds where id = '\(hold.id.uuidText)' and expires_at <= clock_timestamp()") == 1
        }
        async let outcome = checkout.pay(late, key: "late")
        try await Self.untilBlocked("apply_payment_events", pool)
        try await commit()
        _ = try await order
        return try await outcome
      }
      #expect(outcome == Self.refused)
    }
  }

  private static func untilBlocked(_ function: String, _ pool: Pool) async throws {
    try await until("\(function) waits") {
      try await pool.integer(
        """
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%\(function)%'
        """) == 1
    }
  }

  /// The product has no limit when the batch begins, so the batch locks no customer.
  @Test func `a late success obeys a limit that is set while it waits`() async throws {
    try await withCancelledOrder(perCustomer: nil) { checkout, pool, product, late in
      _ = try await checkout.hold(2, of: product, for: "ada")
      let outcome = try await pool.holding("update products set max_per_customer = 2") { commit in
        async let outcome = checkout.pay(late, key: "late")
        try await pool.untilBlocked(1)
        try await commit()
        return try await outcome
      }
      #expect(outcome == Self.refused)
    }
  }

  /// The order has not ended when the batch begins, so the batch locks no customer.
  @Test func `a success is late when its order ends while it waits`() async throws {
    try await withCancelledOrder { checkout, pool, product, _ in
      let order = try await checkout.order(checkout.hold(1, of: product, for: "ada"))
      let outcome = try await pool.holding(
        """
        update orders set status = 'expired' where id = '\(order.id.uuidText)';
        update ordered_stock set units = units - 1;
        update products set available_stock = available_stock + 1
        """
      ) { commit in
        async let outcome = checkout.pay(order.id, key: "late")
        try await pool.untilBlocked(1)
        try await commit()
        return try await outcome
      }
      #expect(outcome == Self.taken)
    }
  }

  @Test func `parked events are applied to their order whatever the limit is`() async throws {
    try await withCancelledOrder { checkout, pool, product, _ in
      let hold = try await checkout.hold(2, of: product, for: "ada")
      _ = try await checkout.pay(hold.id, .failed, key: "early failure")
      _ = try await checkout.pay(hold.id, key: "early success")
      #expect(try await checkout.order(hold).status == .paid)
    }
  }

  private static func events(_ product: Product, _ events: [(id: ReservationID, status: String)]) -> String {
    """
    select apply_payment_events(
      \(product.id), array(select gen_random_uuid()::text from generate_series(1, \(events.count))),
      '{\(events.map(\.id.uuidText).joined(separator: ","))}', '{\(events.map(\.status).joined(separator: ","))}',
      array_fill(null::bigint, array[\(events.count)]), array_fill(null::text, array[\(events.count)]))
    """
  }
}

extension Checkout {
  /// A new hold of a customer.
  ///
  /// - Throws: when the hold is refused.
  fileprivate func hold(_ quantity: Int32, of product: Product, for customer: String) async throws -> Hold {
    let outcome = try await reserveHold(productID: product.id, quantity: quantity, customerID: customer)
    guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome) instead of a hold") }
    return hold
  }
}
