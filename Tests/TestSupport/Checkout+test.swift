import Checkout
import Testing

extension Checkout {
  /// Creates a product with this stock.
  package func newProduct(stock: Int32, price: Int32 = 100) async throws -> Product {
    try await newProduct(CreateProduct(name: "Cap", price: price, currency: "USD", stock: stock))
  }

  /// Creates a product.
  ///
  /// - Throws: ``Unexpected`` for any other outcome.
  package func newProduct(_ product: CreateProduct) async throws -> Product {
    let outcome = try await createProduct(product)
    guard case .created(let product, _) = outcome else { throw Unexpected("\(outcome) instead of a product") }
    return product
  }

  /// Creates a product, as the operator `test`. The same applies to the other changes by operators.
  package func createProduct(_ product: CreateProduct) async throws -> Creation {
    try await createProduct(product, by: .test)
  }

  package func updateProduct(_ changes: UpdateProduct) async throws -> Bool? {
    try await updateProduct(changes, by: .test)
  }

  package func restockProduct(_ change: RestockProduct) async throws -> RestockProduct.Outcome? {
    try await restockProduct(change, by: .test)
  }

  package func settleRefund(idempotencyKey: String) async throws -> RecordedPaymentEvent? {
    try await settleRefund(idempotencyKey: idempotencyKey, by: .test)
  }

  /// Places a hold.
  ///
  /// - Throws: ``Unexpected`` for any other outcome.
  package func hold(_ quantity: Int32, of product: Product, idempotencyKey: String? = nil) async throws -> Hold {
    let outcome = try await reserveHold(productID: product.id, quantity: quantity, idempotencyKey: idempotencyKey)
    guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome) instead of a hold") }
    return hold
  }

  /// Places a hold and its order.
  ///
  /// - Throws: ``Unexpected`` for any other outcome.
  package func order(_ quantity: Int32, of product: Product) async throws -> Order {
    try await order(hold(quantity, of: product))
  }

  /// Places the order of a hold.
  ///
  /// - Throws: ``Unexpected`` for any other outcome.
  package func order(_ hold: Hold) async throws -> Order {
    let outcome = try await placeOrder(holdID: hold.id)
    guard case .placed(let order, _) = outcome else { throw Unexpected("\(outcome) instead of an order") }
    return order
  }

  /// Delivers a payment event.
  ///
  /// - Parameter paymentKey: the key of the payment that a refund or dispute is about.
  package func pay(
    _ id: ReservationID, _ status: PaymentEvent.Status = .success, key: String, amount: Int64? = nil,
    currency: String? = nil, about paymentKey: String? = nil
  ) async throws -> ApplyPaymentEvent.Outcome {
    try await applyPaymentEvent(
      PaymentEvent(
        idempotencyKey: key, orderID: id, status: status, amount: amount, currency: currency, paymentKey: paymentKey))
  }

  /// Records a refund by an operator.
  package func refund(
    _ id: ReservationID, _ amount: Int64? = nil, restock: Bool = false, reason: String? = nil, key: String
  ) async throws -> RefundOrder.Outcome {
    try await refundOrder(
      RefundOrder(orderID: id, amount: amount, isRestock: restock, reason: reason, idempotencyKey: key), by: .test)
  }

  package func availableStock(_ product: Product) async throws -> Int32? {
    try await self.product(product.id)?.availableStock
  }

  /// Fails the test when an invariant is broken.
  package func expectCleanAudit(_ sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let broken = try await audit().checks.filter { $0.violations > 0 }
    #expect(broken.isEmpty, "broken: \(broken.map(\.name))", sourceLocation: sourceLocation)
  }
}

extension ChangeAuthor {
  fileprivate static let test = ChangeAuthor(name: "test", requestID: nil)
}

extension ReservationID {
  /// The id's digits. PostgreSQL reads them as a uuid.
  package var uuidText: String { String(holdText.dropFirst("hold_".count)) }
}

extension ReserveHold.Outcome {
  package var isInsufficientStock: Bool {
    if case .insufficientStock = self { true } else { false }
  }
}

/// The retention parameters of `run_due_jobs`. They are so long that no test's rows are removed.
private let retention = "259200000000, 604800000000, 2592000000000"

/// The call of `run_due_jobs`, as SQL.
///
/// - Parameters:
///   - isPatient: retry failed jobs and remove old rows, instead of running due jobs.
///   - limit: the most rows to expire or remove for each product.
package func dueJobs(isPatient: Bool = false, limit: Int = 10) -> String {
  "run_due_jobs(\(isPatient), \(limit), \(retention))"
}

/// An unexpected result in a test.
package struct Unexpected: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}
