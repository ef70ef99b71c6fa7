import FoundationEssentials

/// Changes of products by operators. All calls throw `CheckoutError`.
extension Checkout {
  package enum Creation: Sendable {
    /// - Parameter isReplay: an earlier call with the same key created the product.
    case created(Product, isReplay: Bool)
    /// Another call used the key before.
    case keyReused
  }

  /// Creates a product. If the call has no key, it gets one, so that it can run again after a lost answer.
  package func createProduct(_ product: CreateProduct, by author: ChangeAuthor) async throws -> Creation {
    var product = product
    product.author = author
    product.idempotencyKey = product.idempotencyKey ?? Self.newKey()
    let outcome = try await call { try await $0.transactOnce(product)[0] }
    switch outcome {
    case .created(let id, let isReplay): return .created(try await changedProduct(id), isReplay: isReplay)
    case .keyReused: return .keyReused
    }
  }

  /// An idempotency key for a call without one.
  static func newKey() -> String { "server:" + UUID().uuidString }

  /// Reads a product after a change.
  ///
  /// - Throws: `CheckoutError.outcomeUnknown` for every failure. Other errors mean that nothing was done, and the
  ///   client would make the change again.
  package func changedProduct(_ id: Int32) async throws -> Product {
    do {
      let product = try await useCases.readProducts(.one(id))[0]
      knownProducts.insert(id)
      return product
    } catch {
      throw CheckoutError.outcomeUnknown(reason: "\(error)")
    }
  }

  /// Changes a product. See `UpdateProduct`.
  ///
  /// - Returns: false when the sale would end before it starts. Nil for an unknown product.
  package func updateProduct(_ changes: UpdateProduct, by author: ChangeAuthor) async throws -> Bool? {
    defer { announce(changes.productID) }
    var changes = changes
    changes.author = author
    return try await call { [changes] in try await $0.transact(changes).first }
  }

  /// Changes a product's total stock. See `RestockProduct`. If the call has no key, it gets one, as in `createProduct`.
  ///
  /// - Returns: nil for an unknown product.
  package func restockProduct(
    _ change: RestockProduct, by author: ChangeAuthor
  ) async throws -> RestockProduct.Outcome? {
    defer { announce(change.productID) }
    var change = change
    change.author = author
    change.idempotencyKey = change.idempotencyKey ?? Self.newKey()
    return try await call { try await $0.transactOnce(change).first }
  }

  /// Tells those who watch the stock and those who deliver events, after a change.
  private func announce(_ productID: Int32) {
    stockFeed.announce(productID)
    eventSignal.ring()
  }
}
