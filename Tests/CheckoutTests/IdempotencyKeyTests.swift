import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct IdempotencyKeyTests {
  @Test func theSameRequestUnderTheSameKeyIsOneHold() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let product = try await checkout.newProduct(stock: 5)
        let first = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
        let again = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
        guard case .held(let hold, false) = first, case .held(let replayed, true) = again else {
          throw Unexpected("\(first), \(again)")
        }
        #expect(replayed.id == hold.id)
        #expect(replayed.expiresAt == hold.expiresAt)
        #expect(try await checkout.availableStock(product) == 3)
        for (quantity, customer) in [(Int32(1), nil), (2, "ada")] {
          let other = try await checkout.reserveHold(
            productID: product.id, quantity: quantity, customerID: customer, idempotencyKey: "k")
          #expect(other == .keyReused)
        }
        // Keys are those of a product, for any call.
        #expect(try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "k") == .keyReused)
        let elsewhere = try await checkout.newProduct(stock: 1)
        let free = try await checkout.reserveHold(productID: elsewhere.id, quantity: 1, idempotencyKey: "k")
        guard case .held(_, false) = free else { throw Unexpected("\(free)") }
        try await checkout.expectCleanAudit()
      }
    }
  }

  @Test func aReplayShowsTheHoldAndTheOrderAsTheyNowStand() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
    }
  }

  @Test func onlySuccessesAreRemembered() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
        let product = try await checkout.newProduct(stock: 1)
        let hold = try await checkout.hold(1, of: product)
        let refused = try await checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k")
        #expect(refused.isInsufficientStock)
        _ = try await checkout.releaseHold(hold.id)
        #expect(try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "o") == .holdReleased)
        #expect(try await pool.integer("select count(*) from idempotency_keys") == 0)
        _ = try await checkout.hold(1, of: product, idempotencyKey: "k")
      }
    }
  }

  @Test func ofABatchOnlyWhatWasGrantedIsRemembered() async throws {
    try await TestDatabases.withDatabase { url in
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
  }

  /// The other server's transaction is under way: to look for the key before it has committed would find nothing and hold
  /// units a second time.
  @Test func theSameKeyOnTwoServersAtOnceIsOneHold() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  @Test func theSameKeyOnTwoServersAtOnceIsOneOrder() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, pool in
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
    }
  }

  /// Many callers with few keys: in one batch, in several, and on two servers.
  @Test func aCrowdWithTheSameKeysHasOneEffectPerKey() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
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
  }
}

extension String {
  /// The first group of digits of a reservation's number.
  fileprivate init(format productID: Int32) {
    let digits = String(productID, radix: 16)
    self = String(repeating: "0", count: 8 - digits.count) + digits
  }
}
