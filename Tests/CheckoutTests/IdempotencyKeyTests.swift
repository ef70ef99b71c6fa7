import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct IdempotencyKeyTests {
  @Test(.checkout) func `the same request under the same key makes one hold`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let first = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
    let again = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
    guard case .held(let hold, false) = first, case .held(let replayed, true) = again else {
      throw Unexpected("\(first), \(again)")
    }
    #expect(replayed.id == hold.id)
    #expect(replayed.expiresAt == hold.expiresAt)
    #expect(try await checkout.availableStock(product) == 3)
    #expect(try await checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k") == .keyReused)
    // A key belongs to one product, for all calls.
    #expect(try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "k") == .keyReused)
    let elsewhere = try await checkout.newProduct(stock: 1)
    let free = try await checkout.reserveHold(productID: elsewhere.id, quantity: 1, idempotencyKey: "k")
    guard case .held(_, false) = free else { throw Unexpected("\(free)") }
    try await checkout.expectCleanAudit()
  }

  /// Another customer may guess the key. The response must not show the hold, nor that the key was used.
  @Test(.checkout) func `a key never shows another customer's hold`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let customers: [String?] = ["ada", "bob", nil]
    // First one after the other, then all again, then in one batch.
    var ids: [ReservationID] = []
    for (number, customer) in (customers + customers).enumerated() {
      let outcome = try await checkout.reserveHold(
        productID: product.id, quantity: 1, customerID: customer, idempotencyKey: "cart-1001")
      guard case .held(let hold, number >= 3) = outcome else { throw Unexpected("\(outcome)") }
      ids.append(hold.id)
    }
    #expect(ids[..<3] == ids[3...])
    #expect(Set(ids).count == 3)
    let together = try await pool.reserve(
      customers.map {
        ReserveHold.Request(
          productID: product.id, quantity: 1, customerID: $0.map(VerbatimText.init), idempotencyKey: "cart-1002")
      }, of: product)
    #expect(Set(together.compactMap(\.?.heldID)).count == 3)

    // An order has the customer of its hold.
    let orders = ids[..<3].map { PlaceOrder.Request(holdID: $0, idempotencyKey: "order-1") }
    for isReplay in [false, true] {
      let placed = try await pool.place(orders, of: product)
      for (outcome, id) in zip(placed, ids) {
        guard case .placed(let order, isReplay)? = outcome, order.id == id else { throw Unexpected("\(placed)") }
      }
    }
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a replay shows the present status of the hold and the order`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product, idempotencyKey: "hold")
    let placed = try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "order")
    guard case .placed(let order, false) = placed else { throw Unexpected("\(placed)") }
    _ = try await checkout.pay(order.id, key: "payment")
    let replayedHold = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "hold")
    guard case .held(let holdNow, true) = replayedHold else { throw Unexpected("\(replayedHold)") }
    #expect(holdNow.status == .ordered)
    let replayedOrder = try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "order")
    guard case .placed(let orderNow, true) = replayedOrder else { throw Unexpected("\(replayedOrder)") }
    #expect(orderNow.status == .paid)
    #expect(try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "another") == .alreadyOrdered)
    #expect(try await checkout.placeOrder(holdID: hold.id) == .alreadyOrdered)
    let other = try await checkout.hold(1, of: product)
    #expect(try await checkout.placeOrder(holdID: other.id, idempotencyKey: "order") == .keyReused)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `only successful requests are recorded under their key`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    let hold = try await checkout.hold(1, of: product)
    let refused = try await checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k")
    #expect(refused.isInsufficientStock)
    _ = try await checkout.releaseHold(hold.id)
    #expect(try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "o") == .holdReleased)
    #expect(try await pool.integer("select count(*) from idempotency_keys") == 0)
    _ = try await checkout.hold(1, of: product, idempotencyKey: "k")
  }

  @Test(.database) func `only the successful requests of a batch are recorded`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 1, null, null, null, null);
      select reserve_holds(
        1, array[gen_random_uuid(), gen_random_uuid()], '{2,1}', 60000000, '{refused,granted}', null, null);
      """)
    #expect(try await pool.integer("select count(*) from idempotency_keys where key = 'granted'") == 1)
    #expect(try await pool.integer("select count(*) from idempotency_keys") == 1)
    await pool.close()
  }

  /// This server must not look for the key before the other server commits. It would find no key, and make a second hold.
  @Test(.checkout) func `the same key on two servers at once makes one hold`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let id = "'\(String(format: product.id))-6b02-8f00-9e3e-db626b23aa96'::uuid"
    let outcome = try await pool.holding(
      "select reserve_holds(\(product.id), array[\(id)], '{2}', 60000000, '{k}', null, null)"
    ) { commit in
      async let outcome = checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    guard case .held(_, true) = outcome else { throw Unexpected("\(outcome)") }
    #expect(try await checkout.availableStock(product) == 3)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `the same key on two servers at once makes one order`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product)
    let outcome = try await pool.holding(
      "select place_orders(\(product.id), array(select id from holds), '{k}', 60000000)"
    ) { commit in
      async let outcome = checkout.placeOrder(holdID: hold.id, idempotencyKey: "k")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    guard case .placed(_, true) = outcome else { throw Unexpected("\(outcome)") }
    try await checkout.expectCleanAudit()
  }

  /// The key of an order comes again with another hold, which was ordered without a key.
  @Test(.checkout) func `other requests under a key are refused or wait for the next batch`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let (one, other) = (try await checkout.hold(1, of: product).id, try await checkout.hold(1, of: product).id)
    let released = try await checkout.hold(1, of: product).id
    _ = try await checkout.releaseHold(released)
    let requests = [(one, nil), (other, "k"), (one, "k"), (other, "k"), (released, "free"), (one, "free")].map {
      PlaceOrder.Request(holdID: $0, idempotencyKey: $1)
    }
    let first = try await pool.place(requests, of: product)
    let second = try await pool.place([requests[2]], of: product)
    guard case .placed(let order, false)? = first[0], case .placed(let otherOrder, false)? = first[1],
      case .placed(let replayed, true)? = first[3]
    else { throw Unexpected("\(first)") }
    #expect([order.id, otherOrder.id, replayed.id] == [one, other, other])
    #expect(first[2] == nil)
    #expect(first[4...] == [.holdReleased, .alreadyOrdered])
    #expect(second == [.keyReused])
    try await checkout.expectCleanAudit()
  }

  /// Each call is made twice. The second only reads the result of the first, which the standby may not have yet.
  @Test(
    .database,
    arguments: [
      "reserve_holds(1, array[id], '{1}', 60000000, '{hold}', null, null)", "void_holds(1, array[id])",
      "place_orders(1, array[id], '{order}', 60000000)",
      "apply_payment_events(1, '{event}', array[id], '{success}', '{100}', '{USD}')", "settle_refund('due')",
    ])
  func `a replay writes, so its commit waits for the standby`(_ call: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    let id = "'00000001-6b02-8f00-9e3e-db626b23aa96'::uuid"
    try await pool.run("select create_product(1, 'Cap', 100, 'USD', 1, null, null, null, null)")
    try await pool.run("select reserve_holds(1, array[\(id)], '{1}', 60000000, '{hold}', null, null)")
    try await pool.run(
      """
      insert into payment_events (product_id, idempotency_key, order_id, status, verdict, order_status, received_at)
      values (1, 'due', \(id), 'success', 'refund_due', 'cancelled', now())
      """)
    let call = "select \(call.replacing("id]", with: "\(id)]"))"
    try await pool.run(call)
    try await pool.run(
      """
      begin;
      \(call);
      do $$ begin assert pg_current_xact_id_if_assigned() is not null, 'it writes nothing'; end $$;
      rollback
      """)
    await pool.close()
  }

  /// The letter é is one code point in the first key, and two in the second.
  @Test(.checkout) func `keys are compared byte by byte`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let requests = ["caf\u{e9}", "cafe\u{301}"].map {
      ReserveHold.Request(productID: product.id, quantity: 1, customerID: nil, idempotencyKey: $0)
    }
    let ids = try await pool.reserve(requests, of: product).compactMap(\.?.heldID)
    #expect(Set(ids).count == 2)
    let orders = ["caf\u{e9}", "cafe\u{301}"].map { PlaceOrder.Request(holdID: ids[0], idempotencyKey: "o" + $0) }
    let placed = try await pool.place(orders, of: product)
    guard case .placed(_, isReplay: false)? = placed[0] else { throw Unexpected("\(placed)") }
    #expect(placed[1] == .alreadyOrdered)
  }

  @Test(.checkout) func `many callers with a few keys make one hold per key`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      let product = try await checkout.newProduct(stock: 1000)
      let answers = try await withThrowingTaskGroup(of: (Int, ReserveHold.Outcome).self) { group in
        for caller in 0..<400 {
          let server = caller.isMultiple(of: 2) ? checkout : other
          group.addTask {
            let key = caller / 2 % 10
            return (
              key, try await server.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "key \(key)")
            )
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      for key in 0..<10 {
        let holds = answers.filter { $0.0 == key }.compactMap { answer -> (ReservationID, Bool)? in
          guard case .held(let hold, let isReplay) = answer.1 else { return nil }
          return (hold.id, isReplay)
        }
        #expect(holds.count == 40)
        #expect(Set(holds.map(\.0)).count == 1)
        #expect(holds.count { !$0.1 } == 1)
      }
      #expect(try await checkout.availableStock(product) == 990)
      try await checkout.expectCleanAudit()
    }
  }
}

extension String {
  /// The first eight digits of a hold's id.
  fileprivate init(format productID: Int32) {
    let digits = String(productID, radix: 16)
    self = String(repeating: "0", count: 8 - digits.count) + digits
  }
}
