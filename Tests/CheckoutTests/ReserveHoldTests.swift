import Checkout
import Postgres
import TestSupport
import Testing

@Suite struct ReserveHoldTests {
  @Test func reservingTakesTheUnitsAtOnce() async throws {
    try await TestDatabases.withDatabase { url in
      try await withCheckout(on: url) { checkout, _ in
        let product = try await checkout.createProduct(.init(name: "Cap", price: 100, currency: "USD", stock: 5))
        guard case .held(let hold) = try await checkout.reserveHold(productID: product.id, quantity: 3) else {
          Issue.record("not held")
          return
        }
        #expect(hold.quantity == 3)
        #expect(try await checkout.product(product.id)?.availableStock == 2)
        #expect(try await checkout.reserveHold(productID: product.id, quantity: 3) == .insufficientStock)
        #expect(try await checkout.audit().isClean)
      }
    }
  }
}
