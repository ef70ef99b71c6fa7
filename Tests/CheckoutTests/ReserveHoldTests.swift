import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct ReserveHoldTests {
  @Test(.checkout) func `a hold takes its units from the stock at once`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(3, of: product)
    #expect(hold.quantity == 3)
    #expect(hold.status == .active)
    #expect(hold.remaining == .seconds(120))
    #expect(hold.expiresAt.microsecondsSince1970 % 1000 == 0)
    #expect(try await checkout.availableStock(product) == 2)
    #expect(try await checkout.reserveHold(productID: product.id, quantity: 3).isInsufficientStock)
    _ = try await checkout.hold(2, of: product)
    #expect(try await checkout.reserveHold(productID: product.id + 1, quantity: 1) == .productNotFound)
    try await checkout.expectCleanAudit()
  }

  /// The condition of the update must see what the other server has committed:
  ///
  ///     other server: takes 4 of 5 units
  ///     this server:  reads a stock of 5 without a lock, waits for the row
  ///     other server: commits
  ///     this server:  updates a stock of 1, and must refuse 2 units
  @Test(.checkout) func `two servers never hold the same unit`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let outcome = try await pool.holding(
      "select reserve_holds(\(product.id), array[gen_random_uuid()], array[4], 1000000000, null, null, null)"
    ) { commit in
      async let outcome = checkout.reserveHold(productID: product.id, quantity: 2)
      try await pool.untilBlocked(1)
      try await commit()
      return try await outcome
    }
    #expect(outcome.isInsufficientStock)
    #expect(try await checkout.availableStock(product) == 1)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a request that is too large does not block smaller ones after it`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    // The requests share one batch: they arrive while the lane's first batch waits for the row.
    let quantities: [Int32] = [4, 7, 5, 2, 1]
    let outcomes = try await pool.holding("select from products where id = \(product.id) for update") { commit in
      var callers = [Task { try await checkout.reserveHold(productID: product.id, quantity: 1) }]
      try await pool.untilBlocked(1)
      for quantity in quantities {
        callers.append(Task { try await checkout.reserveHold(productID: product.id, quantity: quantity) })
        try await until("the requests wait") { checkout.waitingReservations(of: product.id) >= callers.count - 1 }
      }
      try await commit()
      var outcomes: [Bool] = []
      for caller in callers { outcomes.append(try await !caller.value.isInsufficientStock) }
      return outcomes
    }
    #expect(outcomes == [true, true, false, true, false, false])
    #expect(try await checkout.availableStock(product) == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a buyer reclaims lapsed holds without a worker`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 6)
    for _ in 0..<3 { _ = try await checkout.hold(2, of: product) }
    // No worker can claim the job while its row is locked.
    try await pool.holding("select from scheduled_jobs for update") { _ in
      try await pool.run("update holds set expires_at = clock_timestamp()")
      #expect(try await checkout.availableStock(product) == 6)
      _ = try await checkout.hold(5, of: product)
      #expect(try await checkout.availableStock(product) == 1)
      #expect(try await checkout.reserveHold(productID: product.id, quantity: 2).isInsufficientStock)
    }
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a buyer and a worker return the units of lapsed holds once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 4)
    for _ in 0..<4 { _ = try await checkout.hold(1, of: product) }
    let outcome = try await pool.holding(
      "select from scheduled_jobs for update; update holds set expires_at = clock_timestamp()"
    ) { commit in
      // The holds lapse with this commit. After it, the worker and the buyer both want their rows.
      try await commit()
      async let worker: Void = pool.run("select \(dueJobs(limit: 1000))")
      async let outcome = checkout.reserveHold(productID: product.id, quantity: 3)
      try await worker
      return try await outcome
    }
    #expect(!outcome.isInsufficientStock)
    #expect(try await checkout.availableStock(product) == 1)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a crowd of buyers on two servers gets every unit once`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      let product = try await checkout.newProduct(stock: 100)
      let held = try await withThrowingTaskGroup(of: Int32.self) { group in
        for buyer in 0..<200 {
          let server = buyer.isMultiple(of: 2) ? checkout : other
          group.addTask {
            var held: Int32 = 0
            var quantity = Int32(buyer % 7 + 1)
            while quantity > 0 {
              if case .held = try await server.reserveHold(productID: product.id, quantity: quantity) {
                held += quantity
              } else {
                quantity -= 1
              }
            }
            return held
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(held == 100)
      #expect(try await checkout.availableStock(product) == 0)
      try await checkout.expectCleanAudit()
    }
  }
}
