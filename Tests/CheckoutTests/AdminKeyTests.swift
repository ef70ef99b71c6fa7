import Postgres
import TestSupport
import Testing

@testable import Checkout

/// Operators' calls under one idempotency key have one effect.
@Suite struct AdminKeyTests {
  private static func restock(_ product: Int32, by delta: Int32, key: String?) -> RestockProduct {
    RestockProduct(productID: product, delta: delta, idempotencyKey: key)
  }

  private static func cap(stock: Int32, key: String) -> CreateProduct {
    var product = CreateProduct(name: "Cap", price: 100, currency: "USD", stock: stock)
    product.idempotencyKey = key
    return product
  }

  @Test(.checkout) func `a restock under one key adds its units once`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5).id
    let other = try await checkout.newProduct(stock: 5).id
    #expect(try await checkout.restockProduct(Self.restock(product, by: 3, key: "k")) == .done(isReplay: false))
    #expect(try await checkout.restockProduct(Self.restock(product, by: 3, key: "k")) == .done(isReplay: true))
    #expect(try await checkout.restockProduct(Self.restock(product, by: 4, key: "k")) == .keyReused)
    // A key belongs to one product. Without a key, each call has an effect.
    #expect(try await checkout.restockProduct(Self.restock(other, by: 3, key: "k")) == .done(isReplay: false))
    for _ in 0..<2 {
      #expect(try await checkout.restockProduct(Self.restock(other, by: 1, key: nil)) == .done(isReplay: false))
    }
    #expect(try await checkout.product(product)?.totalStock == 8)
    #expect(try await checkout.product(other)?.totalStock == 10)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a refused restock is not recorded under its key`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product)
    let cut = Self.restock(product.id, by: -5, key: "k")
    guard case .insufficientStock? = try await checkout.restockProduct(cut) else { throw Unexpected("no refusal") }
    _ = try await checkout.releaseHold(hold.id)
    #expect(try await checkout.restockProduct(cut) == .done(isReplay: false))
  }

  @Test(.checkout) func `the creation of a product under one key makes one product`() async throws {
    let (checkout, pool) = TestCheckout.current
    let first = try await checkout.newProduct(Self.cap(stock: 5, key: "k"))
    // The replay shows later changes. They do not make it another call.
    var changes = UpdateProduct(productID: first.id)
    changes.price = 250
    _ = try await checkout.updateProduct(changes)
    guard case .created(let again, isReplay: true) = try await checkout.createProduct(Self.cap(stock: 5, key: "k"))
    else { throw Unexpected("no replay") }
    #expect(again.id == first.id && again.price == 250)
    guard case .keyReused = try await checkout.createProduct(Self.cap(stock: 6, key: "k")) else {
      throw Unexpected("not refused")
    }
    #expect(try await pool.integer("select count(*) from products") == 1)
  }

  /// The second server must wait for the commit of the first. Before the commit it would find no key.
  @Test(
    .database,
    arguments: [
      "restock_product(1, 3, 'k')", "create_product(null, 'Cap', 1, 'USD', 1, null, null, null, null, 'k')",
    ])
  func `one key on two servers at once has one effect`(call: String) async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 4)
    try await pool.run("select create_product(1, 'Cap', 100, 'USD', 5, null, null, null, null)")
    try await pool.holding("select \(call)") { commit in
      async let second: Void = pool.run(
        "create table public.answers as select outcome from \(call)")
      try await pool.untilBlocked(1)
      try await commit()
      try await second
    }
    #expect(try await pool.integer("select count(*) from public.answers where outcome = 'replayed'") == 1)
    #expect(
      try await pool.integer("select count(*) + max(total_stock) from products") == (call.hasPrefix("r") ? 9 : 7))
    await pool.close()
  }

  @Test(.database) func `old keys of operators' calls are removed`() async throws {
    let url = TestDatabase.url
    let pool = Pool(ConnectionConfiguration(url: url), size: 1)
    try await pool.run(
      """
      select create_product(null, 'Cap', 100, 'USD', 5, null, null, null, null, 'old');
      select restock_product(1, 3, 'old');
      select restock_product(1, 3, 'young');
      update admin_idempotency_keys set created_at = clock_timestamp() - interval '73 hours' where key = 'old';
      select remove_old(1, 100, 259200000000, 604800000000, 2592000000000);
      """)
    #expect(try await pool.integer("select count(*) from admin_idempotency_keys") == 1)
    #expect(try await pool.integer("select total_stock from products") == 11)
    await pool.close()
  }
}
