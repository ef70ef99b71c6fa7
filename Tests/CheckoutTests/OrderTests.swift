import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct OrderTests {
  @Test(.checkout) func `a hold becomes one order with the same id`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5, price: 250)
    let hold = try await checkout.hold(3, of: product)
    let order = try await checkout.order(hold)
    #expect(order.id == hold.id)
    #expect(order.amount == 750)
    #expect(order.status == .pendingPayment)
    #expect(try await checkout.order(order.id) == order)
    #expect(try await checkout.hold(hold.id)?.status == .ordered)
    #expect(try await checkout.placeOrder(holdID: hold.id) == .alreadyOrdered)
    #expect(try await checkout.releaseHold(hold.id)?.status == .ordered)
    #expect(try await checkout.availableStock(product) == 2)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `concurrent requests for one hold place one order`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      let product = try await checkout.newProduct(stock: 5)
      let hold = try await checkout.hold(1, of: product)
      let outcomes = try await withThrowingTaskGroup(of: PlaceOrder.Outcome.self) { group in
        for index in 0..<40 {
          group.addTask { try await (index.isMultiple(of: 2) ? checkout : other).placeOrder(holdID: hold.id) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.count { if case .placed = $0 { true } else { false } } == 1)
      #expect(outcomes.count { $0 == .alreadyOrdered } == 39)
      try await checkout.expectCleanAudit()
    }
  }

  /// The clock must be read after the wait for the row.
  @Test(.checkout(holdTimeToLive: .milliseconds(300))) func `a hold that lapses while its order waits is not ordered`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product)
    let outcome = try await pool.holding("select from holds for update") { commit in
      async let outcome = checkout.placeOrder(holdID: hold.id)
      try await pool.untilBlocked(1)
      try await pool.untilPast(hold.expiresAt)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .holdExpired)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout(holdTimeToLive: .milliseconds(300))) func `a hold that lapses while its release waits is expired`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    let released = try await pool.holding("select from holds for update") { commit in
      async let released = checkout.releaseHold(hold.id)
      try await pool.untilBlocked(1)
      try await pool.untilPast(hold.expiresAt)
      try await commit()
      return try await released
    }
    #expect(released?.status == .expired)
    #expect(try await checkout.availableStock(product) == 5)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `releasing a hold twice returns its units once`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    async let first = checkout.releaseHold(hold.id)
    async let second = checkout.releaseHold(hold.id)
    #expect(try await first?.status == .released)
    #expect(try await second?.status == .released)
    #expect(try await checkout.releaseHold(hold.id)?.status == .released)
    #expect(try await checkout.availableStock(product) == 5)
    #expect(try await checkout.placeOrder(holdID: hold.id) == .holdReleased)
    try await checkout.expectCleanAudit()
  }

  /// Both transactions want the hold's row. The second one finds the hold no longer active.
  @Test(.checkout(holdTimeToLive: .milliseconds(400)))
  func `a release and an expiry of one hold return its units once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    _ = try await pool.holding("select release_holds(\(product.id), array(select id from holds))") { commit in
      try await pool.untilPast(hold.expiresAt)
      async let expiry: Void = pool.run("select expire_holds(\(product.id), 10, 2)")
      try await pool.untilBlocked(1)
      try await commit()
      try await expiry
    }
    #expect(try await checkout.hold(hold.id)?.status == .released)
    #expect(try await checkout.availableStock(product) == 5)
    try await checkout.expectCleanAudit()
  }

  /// Another server releases the hold. The hold's status must be read after the hold is locked.
  @Test(.checkout) func `a hold that is released while its order waits is not ordered`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(2, of: product)
    let release = "select release_holds(\(product.id), array(select id from holds))"
    let outcome = try await pool.holding(release) { commit in
      async let outcome = checkout.placeOrder(holdID: hold.id)
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome == .holdReleased)
    #expect(try await checkout.availableStock(product) == 5)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `unknown holds and orders are not found`() async throws {
    let checkout = TestCheckout.current.checkout
    let id = try #require(ReservationID(holdText: "hold_0000000189ab8cdebd23456789abcdef"))
    #expect(try await checkout.hold(id) == nil)
    #expect(try await checkout.releaseHold(id) == nil)
    #expect(try await checkout.placeOrder(holdID: id) == .holdNotFound)
    #expect(try await checkout.order(id) == nil)
  }
}
