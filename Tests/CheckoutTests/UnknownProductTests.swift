import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Checkout

/// Calls for products that do not exist. They share one read, and do not fill the buyers' queues.
@Suite struct UnknownProductTests {
  enum Call: CaseIterable {
    case reserve, order, release, readHold, readOrder

    func isRefused(by checkout: Checkout, productID: Int32) async throws -> Bool {
      let id = ReservationID(productID: productID, unixSecond: 1, random: 1)
      return switch self {
      case .reserve: try await checkout.reserveHold(productID: productID, quantity: 1) == .productNotFound
      case .order: try await checkout.placeOrder(holdID: id) == .holdNotFound
      case .release: try await checkout.releaseHold(id) == nil
      case .readHold: try await checkout.hold(id) == nil
      case .readOrder: try await checkout.order(id) == nil
      }
    }
  }

  /// All these calls share one statement, `read_products`.
  @Test(.database, arguments: Call.allCases)
  func `calls for unknown products only read products`(call: Call) async throws {
    let url = TestDatabase.url
    let statements = Statements()
    try await withCheckout(on: url, onStatement: statements.insert) { checkout, _ in
      let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
        for number in 1...50 {
          group.addTask { try await call.isRefused(by: checkout, productID: Int32(number * 1000)) }
        }
        return try await group.reduce(into: 0) { if $1 { $0 += 1 } }
      }
      #expect(refused == 50)
      #expect(statements.names.subtracting(["run_due_jobs", "announce_jobs"]) == ["read_products"])
    }
  }

  /// Another server creates the product after this server has not found it.
  @Test(.checkout) func `a product is found as soon as it exists`() async throws {
    let checkout = TestCheckout.current.checkout
    let url = TestDatabase.url
    try await withCheckout(on: url) { other, _ in
      #expect(try await checkout.reserveHold(productID: 1, quantity: 1) == .productNotFound)
      let product = try await other.newProduct(stock: 1)
      let order = try await checkout.order(checkout.hold(1, of: product))
      #expect(try await other.order(order.id) == order)
    }
  }
}

private final class Statements: Sendable {
  private let state = Mutex<Set<String>>([])

  var names: Set<String> { state.withLock { $0 } }

  @Sendable func insert(_ name: String) {
    state.withLock { _ = $0.insert(name) }
  }
}
