import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct FairnessTests {
  private static func product(
    stock: Int32 = 10, startsIn: Int64? = nil, endsIn: Int64? = nil, perHold: Int32? = nil, perCustomer: Int32? = nil,
    in checkout: Checkout, _ pool: Pool
  ) async throws -> Product {
    let now = try await pool.integer("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
    func timestamp(_ seconds: Int64?) -> Timestamp? {
      seconds.map { Timestamp(microsecondsSince1970: (now + $0 * 1000) * 1000) }
    }
    return try await checkout.newProduct(
      CreateProduct(
        name: "Cap", price: 100, currency: "USD", stock: stock, startsAt: timestamp(startsIn),
        endsAt: timestamp(endsIn),
        maximumQuantityPerHold: perHold, maximumPerCustomer: perCustomer))
  }

  @Test(.checkout) func `the database's clock decides whether a sale is open`() async throws {
    let (checkout, pool) = TestCheckout.current
    let early = try await Self.product(startsIn: 100, endsIn: 200, in: checkout, pool)
    #expect(early.status == .upcoming)
    guard
      case .saleNotStarted(let startsAt, let wait) = try await checkout.reserveHold(
        productID: early.id, quantity: 1)
    else { throw Unexpected("no refusal") }
    #expect(startsAt == early.startsAt)
    #expect(.seconds(90)...(.seconds(100)) ~= wait)
    let late = try await Self.product(startsIn: -200, endsIn: -100, in: checkout, pool)
    #expect(late.status == .ended)
    let endsAt = try #require(late.endsAt)
    #expect(try await checkout.reserveHold(productID: late.id, quantity: 1) == .saleEnded(endsAt: endsAt))
    let open = try await Self.product(startsIn: -100, endsIn: 100, in: checkout, pool)
    #expect(open.status == .onSale)
    let hold = try await checkout.hold(1, of: open)
    // A hold from before the end can be ordered after it.
    try await pool.run("update products set ends_at = clock_timestamp() where id = \(open.id)")
    _ = try await checkout.order(hold)
  }

  @Test(.checkout) func `a paused product refuses holds, and its holds and orders go on`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    let order = try await checkout.order(1, of: product)
    var change = UpdateProduct(productID: product.id)
    change.isPaused = true
    #expect(try await checkout.updateProduct(change) == true)
    #expect(try await checkout.product(product.id)?.status == .paused)
    #expect(try await checkout.reserveHold(productID: product.id, quantity: 1) == .salePaused)
    _ = try await checkout.order(hold)
    guard case .decided(.applied, .paid, _) = try await checkout.pay(order.id, key: "k") else {
      throw Unexpected("the payment is refused")
    }
    change.isPaused = false
    #expect(try await checkout.updateProduct(change) == true)
    _ = try await checkout.hold(1, of: product)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a hold above the maximum quantity is refused`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(perHold: 2, in: checkout, pool)
    #expect(try await checkout.reserveHold(productID: product.id, quantity: 3) == .quantityAboveLimit(2))
    _ = try await checkout.hold(2, of: product)
  }

  @Test(.checkout) func `a customer's units count until they return to the stock`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(stock: 100, perCustomer: 3, in: checkout, pool)
    func reserve(_ quantity: Int32, _ customer: String? = "ada") async throws -> ReserveHold.Outcome {
      try await checkout.reserveHold(productID: product.id, quantity: quantity, customerID: customer)
    }
    func hold(_ quantity: Int32) async throws -> Hold {
      guard case .held(let hold, _) = try await reserve(quantity) else { throw Unexpected("no hold") }
      return hold
    }
    #expect(try await reserve(1, nil) == .customerRequired)
    #expect(try await reserve(4).customerLimit?.maximum == 3)
    let order = try await checkout.order(hold(2))
    let first = try await hold(1)
    #expect(try await reserve(1).customerLimit?.maximum == 3)
    guard case .held = try await reserve(3, "bob") else { throw Unexpected("bob has his own limit") }

    _ = try await checkout.releaseHold(first.id)
    let second = try await hold(1)
    try await pool.run("update holds set expires_at = clock_timestamp() where id = '\(second.id.uuidText)'")
    let third = try await hold(1)
    #expect(try await reserve(1).customerLimit?.maximum == 3)
    _ = try await checkout.pay(order.id, .failed, key: "failed")
    #expect(try await reserve(3).customerLimit?.maximum == 3)
    _ = try await hold(2)
    _ = try await checkout.pay(try await checkout.order(third).id, key: "paid")
    #expect(try await reserve(1).customerLimit?.maximum == 3)
    try await checkout.expectCleanAudit()
  }

  /// The requests are served in the order of arrival. A refused request takes no units.
  @Test(.checkout) func `a batch gives each customer what stock and limit allow`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(stock: 7, perCustomer: 3, in: checkout, pool)
    let requests: [(String, Int32)] = [("a", 2), ("b", 3), ("a", 2), ("a", 1), ("c", 3), ("b", 1), ("d", 1)]
    let outcomes = try await pool.holding("select from products for update") { commit in
      // The first batch has one request, and waits for the row. The others gather meanwhile.
      let first = Task { try await checkout.reserveHold(productID: product.id, quantity: 1, customerID: "first") }
      try await pool.untilBlocked(1)
      var callers: [Task<ReserveHold.Outcome, any Error>] = []
      for (customer, quantity) in requests {
        callers.append(
          Task { try await checkout.reserveHold(productID: product.id, quantity: quantity, customerID: customer) })
        try await until("the requests wait") { checkout.waitingReservations(of: product.id) >= callers.count }
      }
      try await commit()
      _ = try await first.value
      var outcomes: [String] = []
      for caller in callers {
        switch try await caller.value {
        case .held: outcomes.append("held")
        case .customerLimitReached: outcomes.append("limit")
        case .insufficientStock: outcomes.append("stock")
        case let other: outcomes.append("\(other)")
        }
      }
      return outcomes
    }
    #expect(outcomes == ["held", "held", "limit", "held", "stock", "limit", "stock"])
    #expect(try await checkout.availableStock(product) == 0)
    try await checkout.expectCleanAudit()
  }

  /// The hold lapses meanwhile. If only its time counted, the customer would get the order and as many units again.
  @Test(.checkout(holdTimeToLive: .milliseconds(500)))
  func `an order that is being placed counts for its customer's limit`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(perCustomer: 2, in: checkout, pool)
    @Sendable func reserve() async throws -> ReserveHold.Outcome {
      try await checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada")
    }
    guard case .held(let hold, _) = try await reserve() else { throw Unexpected("no hold") }
    let outcome = try await pool.holding(
      "select place_orders(\(product.id), array['\(hold.id.uuidText)'::uuid], null, 60000000)"
    ) { commit in
      try await pool.untilPast(hold.expiresAt)
      async let outcome = reserve()
      try await until("the request for a hold waits") {
        try await pool.integer(
          """
          select count(*) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%reserve_holds%'
          """) == 1
      }
      try await commit()
      return try await outcome
    }
    #expect(outcome.customerLimit?.maximum == 2)
    #expect(try await checkout.order(hold.id)?.status == .pendingPayment)
    try await checkout.expectCleanAudit()
  }

  /// Another session reclaims lapsed holds from the oldest on. It must not wait for a hold of this customer.
  @Test(.database) func `the locks on a customer's lapsed holds are released at once`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run(
      """
      select create_product(1, 'Cap', 100, 'USD', 2, null, null, null, 2);
      select reserve_holds(1, array[gen_random_uuid()], '{1}', 0, null, '{ada}', '{1}');
      """)
    for call in [
      "customers_left(1, '{ada}', 2, clock_timestamp(), false)",
      "await_orders_of_customers(1, '{ada}', clock_timestamp(), 1000)",
    ] {
      try await pool.holding("select \(call)") { _ in
        let free = try await pool.integer("select count(*) from (select from holds for update skip locked) free")
        #expect(free == 1)
      }
    }
    await pool.close()
  }

  /// The customer's lapsed hold is locked, and may still become an order. Other buyers of the batch do not wait for it.
  @Test(.checkout) func `an order that is being placed delays only its customer`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(perCustomer: 2, in: checkout, pool)
    _ = try await checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada")
    try await pool.run("delete from scheduled_jobs; update holds set expires_at = clock_timestamp()")
    let requests = ["ada", "bob"].map {
      ReserveHold.Request(
        productID: product.id, quantity: 2, customerID: VerbatimText($0), idempotencyKey: nil)
    }
    let outcomes = try await pool.holding("select from holds for update") { _ in
      try await pool.reserve(requests, of: product)
    }
    guard outcomes[0] == nil, case .held? = outcomes[1] else { throw Unexpected("\(outcomes)") }
    guard case .held? = try await pool.reserve([requests[0]], of: product)[0] else { throw Unexpected("no hold") }
  }

  @Test(.checkout) func `a customer at the limit is told when units may return`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(stock: 100, perCustomer: 3, in: checkout, pool)
    func reserve(_ quantity: Int32) async throws -> ReserveHold.Outcome {
      try await checkout.reserveHold(productID: product.id, quantity: quantity, customerID: "ada")
    }
    func hold(_ quantity: Int32) async throws -> Hold {
      guard case .held(let hold, _) = try await reserve(quantity) else { throw Unexpected("no hold") }
      return hold
    }
    // This is above the maximum, so no wait helps.
    #expect(try await reserve(4).customerLimit == CustomerLimit(maximum: 3, nextReleaseAt: nil, nextReleaseIn: nil))
    let first = try await hold(1)
    let second = try await hold(2)
    let limit = try #require(try await reserve(1).customerLimit)
    #expect(limit.nextReleaseAt == first.expiresAt)
    let wait = try #require(limit.nextReleaseIn)
    #expect(.seconds(60)...(.seconds(120)) ~= wait)
    #expect(try await reserve(4).customerLimit?.nextReleaseAt == nil)

    // An unpaid order expires. A paid one does not.
    let order = try await checkout.order(first)
    #expect(try await reserve(1).customerLimit?.nextReleaseAt == second.expiresAt)
    let later = try await checkout.order(second)
    #expect(try await reserve(1).customerLimit?.nextReleaseAt == order.paymentDueAt)
    for order in [order, later] { _ = try await checkout.pay(order.id, key: order.id.uuidText) }
    #expect(try await reserve(1).customerLimit?.nextReleaseAt == nil)
  }

  /// This server must not count the customer's units before the other server commits. Otherwise the customer would get both
  /// holds.
  @Test(.checkout) func `a customer on two servers at once stays within the limit`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(perCustomer: 3, in: checkout, pool)
    let outcome = try await pool.holding(
      "select reserve_holds(\(product.id), array[gen_random_uuid()], '{2}', 60000000, null, '{ada}', '{1}')"
    ) { commit in
      async let outcome = checkout.reserveHold(productID: product.id, quantity: 2, customerID: "ada")
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome.customerLimit?.maximum == 3)
    #expect(try await checkout.availableStock(product) == 8)
  }

  @Test(.checkout) func `a refusal shows the held units and when they may return`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    _ = try await checkout.order(1, of: product)
    let first = try await checkout.hold(2, of: product)
    _ = try await checkout.hold(1, of: product)
    guard case .insufficientStock(let left) = try await checkout.reserveHold(productID: product.id, quantity: 2)
    else { throw Unexpected("no refusal") }
    #expect(left.available == 1)
    #expect(left.held == 3)
    #expect(left.nextReleaseAt == first.expiresAt)
    let wait = try #require(left.nextReleaseIn)
    #expect(.seconds(100)...(.seconds(120)) ~= wait)

    let last = try await checkout.hold(1, of: product)
    #expect(try await checkout.product(product.id)?.status == .reservedOut)
    for hold in [first, last] { _ = try await checkout.order(hold) }
    try await checkout.expectCleanAudit()
  }

  /// Units of an unpaid order may return to the stock. Only a payment makes them sold.
  @Test(.checkout) func `a product with unpaid orders is reserved_out, not sold_out`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 2)
    func left() async throws -> StockLeft {
      guard case .insufficientStock(let left) = try await checkout.reserveHold(productID: product.id, quantity: 1)
      else { throw Unexpected("no refusal") }
      return left
    }
    let order = try await checkout.order(1, of: product)
    let hold = try await checkout.hold(1, of: product)
    #expect(try await left().nextReleaseAt == hold.expiresAt)
    let later = try await checkout.order(hold)
    #expect(try await checkout.product(product.id)?.status == .reservedOut)
    let unpaid = try await left()
    #expect(unpaid.available == 0 && unpaid.held == 0 && unpaid.nextReleaseAt == order.paymentDueAt)
    let wait = try #require(unpaid.nextReleaseIn)
    #expect(.seconds(800)...(.seconds(900)) ~= wait)

    _ = try await checkout.pay(order.id, key: "first")
    #expect(try await left().nextReleaseAt == later.paymentDueAt)
    #expect(try await checkout.product(product.id)?.status == .reservedOut)
    _ = try await checkout.pay(later.id, key: "second")
    #expect(try await checkout.product(product.id)?.status == .soldOut)
    #expect(try await left() == StockLeft(available: 0, held: 0, nextReleaseAt: nil, nextReleaseIn: nil))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a product can be changed while it is on sale`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await Self.product(startsIn: -100, endsIn: 100, perHold: 2, in: checkout, pool)
    var changes = UpdateProduct(productID: product.id)
    changes.price = 250
    changes.maximumQuantityPerHold = .set(nil)
    #expect(try await checkout.updateProduct(changes) == true)
    let changed = try #require(try await checkout.product(product.id))
    #expect(changed.price == 250 && changed.name == "Cap" && changed.maximumQuantityPerHold == nil)
    #expect(changed.endsAt == product.endsAt)
    changes.endsAt = .set(product.startsAt)
    changes.price = 1
    #expect(try await checkout.updateProduct(changes) == false)
    #expect(try await checkout.product(product.id)?.price == 250)
    #expect(try await checkout.updateProduct(UpdateProduct(productID: 99)) == nil)

    _ = try await checkout.hold(4, of: product)
    let cut = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -7))
    guard case .insufficientStock(let left) = cut else { throw Unexpected("\(String(describing: cut))") }
    #expect(left.available == 6 && left.held == 4)
    #expect(
      try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -6)) == .done(isReplay: false))
    let restock = RestockProduct(productID: product.id, delta: .max)
    #expect(try await checkout.restockProduct(restock) == .totalStockTooLarge)
    #expect(try await checkout.availableStock(product) == 0)
    try await checkout.expectCleanAudit()
  }
}
