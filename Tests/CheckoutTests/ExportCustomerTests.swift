import Foundation
import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct ExportCustomerTests {
  private func export(_ customer: String) async throws -> [[String: Any]] {
    var lines: [[String: Any]] = []
    try await ExportCustomer(customerID: customer).run(on: TestCheckout.current.pool) { line in
      #expect(!line.contains("\n"))
      lines.append(try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]))
    }
    return lines
  }

  @Test(.checkout) func `an export has all that is stored about a customer, and nothing of others`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let outcome = try await checkout.reserveHold(
      productID: product.id, quantity: 2, customerID: "ada", idempotencyKey: "h", metadata: Metadata([("a", "x\ny")]))
    guard case .held(let hold, false) = outcome else { throw Unexpected("\(outcome)") }
    let order = try await checkout.order(hold)
    _ = try await checkout.pay(order.id, key: "p1")
    _ = try await checkout.pay(order.id, key: "p2")
    try await pool.run(
      """
      insert into refunds (product_id, id, order_id, amount, is_restock, reason, source, created_at)
      values (\(product.id), gen_random_uuid(), '\(order.id.uuidText)', 5, false, 'late', 'operator', now())
      """)
    _ = try await checkout.reserveHold(productID: product.id, quantity: 1, customerID: "bob")
    let lines = try await export("ada")
    #expect(
      lines.map { $0["type"] as? String }
        == ["hold", "idempotency_key", "order", "payment_event", "payment_event", "refund"])
    #expect(lines[0]["hold_id"] as? String == hold.id.holdText && lines[0]["customer_id"] as? String == "ada")
    #expect(lines[0]["metadata"] as? [String: String] == ["a": "x\ny"])
    #expect(lines[1]["key"] as? String == "h")
    #expect(lines[2]["order_id"] as? String == order.id.orderText && lines[2]["amount"] as? Int == 200)
    #expect(lines[2]["metadata"] as? [String: String] == ["a": "x\ny"])
    #expect(lines[3...4].map { $0["idempotency_key"] as? String } == ["p1", "p2"])
    #expect(lines[5]["reason"] as? String == "late" && lines[5]["order_id"] as? String == order.id.orderText)
    #expect(try await export("bob").count == 1)
    #expect(try await export("ad").isEmpty)
  }

  @Test(.checkout) func `an export has every page of every product`() async throws {
    let (checkout, pool) = TestCheckout.current
    let products = [try await checkout.newProduct(stock: 5), try await checkout.newProduct(stock: 5)]
    for product in products {
      try await pool.run(
        """
        insert into holds (product_id, id, quantity, status, expires_at, customer_id)
        select \(product.id), ('0000000\(product.id)-0000-8000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1,
               (array['ordered', 'released', 'expired'])[1 + n % 3],
               timestamptz '2026-11-27' + n % 50 * interval '1 second', case when n % 2 = 0 then 'ada' else 'bob' end
        from generate_series(1, 1500) n
        """)
    }
    let ids = try await export("ada").compactMap { $0["hold_id"] as? String }
    #expect(ids.count == 1500)
    #expect(Set(ids).count == 1500)
  }
}
