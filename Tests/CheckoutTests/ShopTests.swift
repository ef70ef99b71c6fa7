import Postgres
import Synchronization
import TestSupport
import Testing
import Time

@testable import Checkout

/// The snapshot of the shop that operators watch. `ModelTests` compares its units with the model.
@Suite struct ShopTests {
  private static func shop(_ checkout: Checkout) async throws -> Shop {
    let reading = await checkout.shop(within: .seconds(30))
    guard case .read(let shop) = reading else { throw Unexpected("\(reading)") }
    return shop
  }

  @Test(.checkout) func `a shop without products has a snapshot`() async throws {
    let shop = try await Self.shop(TestCheckout.current.checkout)
    #expect(shop.products.isEmpty && shop.moreProducts == 0 && shop.jobLateness == .zero)
    #expect(shop.moneyWaiting.events.isEmpty && shop.moneyWaiting.refundDue == 0)
  }

  @Test(.checkout) func `a product in the snapshot is the one that a buyer reads`() async throws {
    let (checkout, database) = TestCheckout.current
    for name in ["Cap", "Mug"] {
      _ = try await checkout.newProduct(
        CreateProduct(name: name, price: 700, currency: "EUR", stock: 2, maximumPerCustomer: 2))
    }
    func expectSame() async throws {
      #expect(try await Self.shop(checkout).products.map(\.product) == checkout.products())
    }
    try await expectSame()
    let products = try await checkout.products()
    guard
      case .held(let hold, _) = try await checkout.reserveHold(
        productID: products[0].id, quantity: 2, customerID: "ada")
    else { throw Unexpected("no hold") }
    try await expectSame()
    _ = try await checkout.order(hold)
    try await expectSame()
    _ = try await checkout.pay(hold.id, key: "pays")
    try await expectSame()
    try await database.run("update products set starts_at = now() + interval '1 hour' where id = \(products[1].id)")
    try await expectSame()
    try await database.run("update products set is_paused = true")
    try await expectSame()
    try await database.run("update products set starts_at = null, ends_at = now()")
    try await expectSame()
    #expect(Set(try await checkout.products().map(\.status)) == [.ended])
  }

  @Test(.checkout) func `each unit of a product is in one place`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100)
    let held = try await checkout.hold(1, of: product)
    _ = try await checkout.order(2, of: product)
    let paid = try await checkout.order(4, of: product)
    _ = try await checkout.pay(paid.id, key: "pays")
    let cancelled = try await checkout.order(8, of: product)
    _ = try await checkout.pay(cancelled.id, .failed, key: "fails")
    _ = try await checkout.releaseHold(checkout.hold(16, of: product).id)
    let figures = try await Self.shop(checkout).products[0]
    #expect(figures.product.availableStock == 93)
    #expect(figures.heldStock == 1 && figures.unpaidStock == 2 && figures.paidStock == 4)

    // No job is due, so no worker expires the hold. Its units count as available.
    try await database.run(
      "update holds set expires_at = clock_timestamp() - interval '1 s' where id = '\(held.id.uuidText)'")
    let later = try await Self.shop(checkout).products[0]
    #expect(later.product.availableStock == 94 && later.heldStock == 0)
  }

  /// Buyers, payments and workers change the stock all the time. A snapshot of two moments would have units twice.
  @Test(.checkout(holdTimeToLive: .milliseconds(150), orderTimeToLive: .milliseconds(300)))
  func `units are conserved in each snapshot while buyers buy`() async throws {
    let checkout = TestCheckout.current.checkout
    let products = [try await checkout.newProduct(stock: 40), try await checkout.newProduct(stock: 40)]
    try await withThrowingDiscardingTaskGroup { group in
      for buyer in 0..<8 {
        group.addTask {
          for round in 0..<40 {
            let product = products[(buyer + round) % 2]
            guard
              case .held(let hold, _) = try await checkout.reserveHold(
                productID: product.id, quantity: Int32.random(in: 1...5))
            else {
              try await Task.sleep(for: .milliseconds(20))
              continue
            }
            switch (buyer + round) % 5 {
            case 0: break
            case 1: _ = try await checkout.releaseHold(hold.id)
            default:
              guard case .placed = try await checkout.placeOrder(holdID: hold.id) else { continue }
              let status: PaymentEvent.Status = round % 3 == 0 ? .failed : .success
              if round % 4 > 0 { _ = try await checkout.pay(hold.id, status, key: "\(buyer) \(round)") }
            }
          }
        }
      }
      group.addTask {
        for _ in 0..<60 {
          for figures in try await Self.shop(checkout).products {
            let places = [
              Int64(figures.product.availableStock), figures.heldStock, figures.unpaidStock, figures.paidStock,
            ]
            #expect(places.reduce(0, +) == 40 && places.allSatisfy { 0...40 ~= $0 }, "\(figures)")
          }
        }
      }
    }
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `money that waits is counted, and the oldest events come first`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 100, price: 500)
    let order = try await checkout.order(2, of: product)
    for key in ["pays", "again", "and again"] { _ = try await checkout.pay(order.id, key: key) }
    _ = try await checkout.pay(order.id, key: "too little", amount: 700, currency: "USD")
    let early = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(early.id, key: "early")
    // These are no money that waits.
    _ = try await checkout.pay(early.id, .failed, key: "early failure")
    _ = try await checkout.pay(order.id, .failed, key: "late failure")
    _ = try await checkout.pay(order.id, key: "settled")
    _ = try await checkout.settleRefund(idempotencyKey: "settled")
    try await database.run(
      "update payment_events set received_at = now() - interval '1 hour' where idempotency_key = 'too little'")

    let money = try await Self.shop(checkout).moneyWaiting
    #expect(money.refundDue == 2 && money.amountMismatch == 1 && money.parked == 1)
    #expect(money.events.map(\.idempotencyKey) == ["too little", "again", "and again", "early"])
    #expect(money.events.map(\.verdict) == [.amountMismatch, .refundDue, .refundDue, .parked])
    // The amount of the event, else that of its order. An order that does not exist has none.
    #expect(money.events.map(\.amount) == [700, 1000, 1000, nil])
    #expect(money.events.map(\.currency) == ["USD", "USD", "USD", nil])
    #expect(money.events.map(\.orderID) == [order.id, order.id, order.id, early.id])
    #expect(money.events.map(\.receivedAt) == money.events.map(\.receivedAt).sorted())

    for number in 0..<30 { _ = try await checkout.pay(order.id, key: "more \(number)") }
    let more = try await Self.shop(checkout).moneyWaiting
    #expect(more.refundDue == 32 && more.events.count == 20)
    #expect(more.events[0].idempotencyKey == "too little" && more.events[19].idempotencyKey == "more 15")
  }

  @Test(.checkout) func `endpoints are listed with what waits for them`() async throws {
    let (checkout, database) = TestCheckout.current
    #expect(try await Self.shop(checkout).endpoints.isEmpty)
    let endpoints = [try await checkout.subscribe("order.*"), try await checkout.subscribe("order.*")]
    let idle = try await Self.shop(checkout)
    #expect(idle.endpoints.map(\.id) == endpoints.map(\.id) && idle.pendingDeliveries == 0)
    #expect(idle.oldestDeliveryAge == .zero && idle.endpoints.allSatisfy { $0.pending == 0 && $0.lastError == nil })

    // Events that are not dispatched wait, too.
    try await DeliveryTests.orders(3, checkout)
    try await database.run("update event_batches set created_at = clock_timestamp() - interval '100 s'")
    let early = try await Self.shop(checkout)
    #expect(early.endpoints.map(\.pending) == [3, 3] && early.pendingDeliveries == 6)
    #expect(100...160 ~= early.oldestDeliveryAge / .seconds(1))
    // An endpoint gets no events that are older than itself.
    try await database.run("update event_batches set created_at = clock_timestamp()")

    let claim = try await checkout.claim()
    #expect(claim.deliveries.count == 6)
    try await checkout.recordDeliveries(
      claim.deliveries.map { delivery in
        delivery.endpointID == endpoints[0].id.uuid
          ? DeliveryResult(of: delivery, statusCode: 204)
          : DeliveryResult(of: delivery, statusCode: nil, error: "connection refused")
      }, leaseID: claim.leaseID)
    try await database.run("update deliveries set created_at = clock_timestamp() - interval '50 s'")
    let failing = try await Self.shop(checkout)
    #expect(failing.endpoints.map(\.pending) == [0, 3] && failing.endpoints.map(\.failures) == [0, 3])
    #expect(failing.endpoints.map(\.lastError) == [nil, "connection refused"])
    #expect(failing.pendingDeliveries == 3 && 50...90 ~= failing.oldestDeliveryAge / .seconds(1))

    // The deliveries of a disabled endpoint wait on purpose.
    _ = try await checkout.enable(endpoints[1].id, .disabled)
    let disabled = try await Self.shop(checkout)
    #expect(disabled.endpoints.map(\.status) == [.enabled, .disabled] && disabled.endpoints.map(\.pending) == [0, 3])
    #expect(disabled.pendingDeliveries == 0 && disabled.oldestDeliveryAge == .zero)
  }

  @Test(.checkout) func `at most 1000 deliveries of an endpoint are counted`() async throws {
    let (checkout, database) = TestCheckout.current
    let endpoint = try await checkout.subscribe("order.*")
    try await database.run(
      """
      insert into deliveries (product_id, event_id, endpoint_id, next_at, created_at)
      select 1, gen_random_uuid(), '\(endpoint.id.uuid)', now(), now() from generate_series(1, 1500)
      """)
    #expect(try await Self.shop(checkout).endpoints.map(\.pending) == [1000])
  }

  @Test(.checkout) func `the newest 200 products are listed by id`() async throws {
    let (checkout, database) = TestCheckout.current
    try await database.run(
      """
      insert into products (name, price, currency, total_stock, available_stock)
      select 'Cap ' || n, 100, 'USD', 10, 10 from generate_series(1, 203) n;
      insert into ordered_stock (product_id, units) select id, 0 from products
      """)
    let ids = try await checkout.products().map(\.id)
    let shop = try await Self.shop(checkout)
    #expect(shop.products.map(\.product.id) == Array(ids.suffix(200)))
    #expect(shop.moreProducts == 3)
  }

  /// Each whole second is the last one of at least one snapshot, so their counts add up to all that happened.
  @Test(.checkout) func `the seconds of a sale add up`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 1000)
    // On a machine that stops for a second, a second is missed.
    while true {
      let end = Mutex<Moment?>(nil)
      let sale = Task {
        defer { end.withLock { $0 = .now } }
        for number in 0..<30 {
          let hold = try await checkout.hold(1, of: product)
          let key = "\(number) \(hold.id.holdText)"
          if number % 3 > 0 { _ = try await checkout.order(hold) }
          if number % 3 == 1 { _ = try await checkout.pay(hold.id, key: key) }
          if number % 6 == 5 { _ = try await checkout.pay(hold.id, .failed, key: key) }
          try await Task.sleep(for: .milliseconds(50))
        }
      }
      var seconds: [Int64: Shop.ProductFigures] = [:]
      while end.withLock({ $0.map { .now < $0 + .milliseconds(2600) } ?? true }) {
        let shop = try await Self.shop(checkout)
        seconds[(shop.asOf.microsecondsSince1970 - 250_000) / 1_000_000] = shop.products[0]
        try await Task.sleep(for: .milliseconds(30))
      }
      try await sale.value
      guard Int64(seconds.count) == seconds.keys.max()! - seconds.keys.min()! + 1 else { continue }
      #expect(seconds.values.reduce(0) { $0 + $1.holds } == 30)
      #expect(seconds.values.reduce(0) { $0 + $1.orders } == 20)
      #expect(seconds.values.reduce(0) { $0 + $1.payments } == 10)
      break
    }
  }

  @Test(.checkout) func `a job that no worker runs is late`() async throws {
    let (checkout, database) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    _ = try await checkout.hold(1, of: product)
    #expect(try await Self.shop(checkout).jobLateness == .zero)
    // Workers skip a locked job. Removal is never urgent.
    try await database.run("update scheduled_jobs set run_at = clock_timestamp() + interval '0.2 s'")
    try await database.holding("select from scheduled_jobs for update") { _ in
      try await until("the job is late") { try await Self.shop(checkout).jobLateness > .milliseconds(300) }
    }
    try await until("the job has run") { try await Self.shop(checkout).jobLateness == .zero }
  }

  @Test(.checkout) func `a database that does not answer is away, with a reason`() async throws {
    let (checkout, database) = TestCheckout.current
    try await database.holding("lock table payment_events") { _ in
      let late = await checkout.shop(within: .milliseconds(50))
      guard case .late = late else { throw Unexpected("\(late)") }
      let away = await checkout.shop(within: .seconds(30))
      guard case .away(let reason) = away else { throw Unexpected("\(away)") }
      #expect(reason == "A table is locked by another session.")
    }
    _ = try await Self.shop(checkout)
    let refused = Shop.Reading(PostgresError.cannotConnect("password=mark-of-a-password"))
    guard case .away(let reason) = refused else { throw Unexpected("\(refused)") }
    #expect(reason == "The database cannot be reached.")
  }

  @Test(.database) func `the first id of a second is that of its hold with random bits 0`() async throws {
    let pool = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    for (product, second) in [(1, 0), (1, 1), (2, 1_764_316_800), (Int32.max, UInt32.max), (77, 1_764_316_815)]
      as [(Int32, UInt32)]
    {
      let first = ReservationID(productID: product, unixSecond: second, random: 0)
      let last = ReservationID(productID: product, unixSecond: second, random: .max)
      let isFirst = try await pool.integer(
        """
        (first_hold_id(\(product), \(second)) = '\(first.uuidText)'
         and '\(last.uuidText)' between first_hold_id(\(product), \(second))
           and case when \(second) < 4294967295 then first_hold_id(\(product), least(\(second) + 1::bigint, 4294967295))
             else 'ffffffff-ffff-ffff-ffff-ffffffffffff' end)::integer
        """)
      #expect(isFirst == 1, "\(product) \(second)")
    }
    await pool.close()
  }
}
