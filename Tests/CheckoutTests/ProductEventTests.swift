import Postgres
import TestSupport
import Testing

@testable import Checkout

/// A product is sold out, restocked and paused.
@Suite struct ProductEventTests {
  @Test(.checkout) func `the payment of the last unit adds product.sold_out`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("product.*")
    let product = try await checkout.newProduct(stock: 3)
    let first = try await checkout.order(1, of: product)
    let second = try await checkout.order(1, of: product)
    let held = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(first.id, key: "a")
    _ = try await checkout.pay(second.id, key: "b")
    // One unit is only held.
    #expect(try await pool.eventNames().isEmpty)
    let last = try await checkout.order(held)
    #expect(try await pool.eventNames().isEmpty)
    _ = try await checkout.pay(last.id, key: "c")
    _ = try await checkout.pay(last.id, key: "d")
    #expect(try await pool.eventNames() == ["product.sold_out 1"])
    let event = try await pool.events()[0]
    #expect(event.objectID == "\(product.id)")
    #expect(try event.member("id") == "\(product.id)" && event.member("status") == "sold_out")
    #expect(try event.member("available_stock") == "0" && event.member("total_stock") == "3")
    #expect(try event.member("name") == "Cap" && event.member("price") == "100" && event.member("currency") == "USD")
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `an order that is placed with its payment can sell the product out`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("product.sold_out")
    let hold = try await checkout.hold(1, of: try await checkout.newProduct(stock: 1))
    _ = try await checkout.pay(hold.id, key: "a")
    _ = try await checkout.order(hold)
    #expect(try await pool.eventNames() == ["product.sold_out 1"])
    try await checkout.expectCleanAudit()
  }

  /// Each payment sees the other order unpaid, unless both lock the product before they look.
  @Test(.checkout) func `two servers that pay the last two orders add one product.sold_out`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("product.sold_out")
    let product = try await checkout.newProduct(stock: 2)
    let (one, two) = (try await checkout.order(1, of: product), try await checkout.order(1, of: product))
    func pay(_ order: Order) -> String {
      """
      select apply_payment_events(
        \(product.id), array['\(order.id.uuid)'], array['\(order.id.uuid)'::uuid], '{success}', '{null}', '{null}')
      """
    }
    let (first, second) = (pay(one), pay(two))
    try await pool.holding(first) { commit in
      async let other: Void = pool.run(second)
      try await pool.untilBlocked(1)
      try await commit()
      try await other
    }
    #expect(try await pool.eventNames() == ["product.sold_out 1"])
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a restock adds product.restocked, and a cut to nothing product.sold_out`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("product.*")
    let product = try await checkout.newProduct(stock: 1)
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: 2, idempotencyKey: "k"))
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: 2, idempotencyKey: "k"))
    _ = try await checkout.pay(try await checkout.order(1, of: product).id, key: "a")
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -1))
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -1))
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -1))
    #expect(try await pool.eventNames() == ["product.restocked 1", "product.sold_out 2"])
    #expect(try await pool.events()[0].member("total_stock") == "3")
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a cut does not sell out a product with an unpaid order`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("product.*")
    let product = try await checkout.newProduct(stock: 2)
    _ = try await checkout.order(1, of: product)
    _ = try await checkout.restockProduct(RestockProduct(productID: product.id, delta: -1))
    #expect(try await pool.eventNames().isEmpty)
  }

  @Test(.checkout) func `a pause adds product.paused, and its end nothing`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("*")
    var change = UpdateProduct(productID: try await checkout.newProduct(stock: 2).id)
    for isPaused in [true, true, false, true] {
      change.isPaused = isPaused
      _ = try await checkout.updateProduct(change)
    }
    change.isPaused = nil
    change.price = 90
    _ = try await checkout.updateProduct(change)
    #expect(try await pool.eventNames() == ["product.paused 1", "product.paused 2"])
    #expect(try await pool.events()[0].member("status") == "paused")
    try await checkout.expectCleanAudit()
  }
}
