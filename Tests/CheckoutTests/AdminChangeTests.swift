import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// The log of changes by operators.
@Suite struct AdminChangeTests {
  private static let author = ChangeAuthor(name: "ops-laptop", requestID: "request-1")

  /// One line for each change, oldest first.
  private static func log(_ checkout: Checkout, of productID: Int32? = nil) async throws -> [String] {
    try await checkout.adminChanges(of: productID).changes.reversed().map { change in
      [change.who, change.action, change.from ?? "-", change.to ?? "-", change.requestID ?? "-"].joined(separator: " ")
    }
  }

  private static func by(_ author: String, _ lines: String...) -> [String] { lines.map { "\(author) \($0)" } }

  @Test(.checkout) func `each change of a product is recorded with the values before and after it`() async throws {
    let checkout = TestCheckout.current.checkout
    let creation = CreateProduct(
      name: "Cap", price: 100, currency: "USD", stock: 5, startsAt: Timestamp(unixSecond: 0),
      maximumPerCustomer: 2)
    guard case .created(let product, _) = try await checkout.createProduct(creation, by: Self.author) else {
      throw Unexpected("not created")
    }
    var change = UpdateProduct(productID: product.id)
    change.productName = "Hat"
    change.price = 100  // as before
    change.maximumPerCustomer = .set(nil)
    change.startsAt = .set(nil)
    #expect(try await checkout.updateProduct(change, by: Self.author) == true)
    for isPaused in [true, false] {
      var pause = UpdateProduct(productID: product.id)
      pause.isPaused = isPaused
      #expect(try await checkout.updateProduct(pause, by: Self.author) == true)
    }
    let restock = RestockProduct(productID: product.id, delta: 3)
    #expect(try await checkout.restockProduct(restock, by: Self.author) == .done(isReplay: false))

    let created =
      #"{"name": "Cap", "price": 100, "ends_at": null, "currency": "USD", "starts_at": "1970-01-01T00:00:00.000Z", "#
      + #""total_stock": 5, "max_per_customer": 2, "max_quantity_per_hold": null}"#
    #expect(
      try await Self.log(checkout) == [
        "ops-laptop product.created - \(created) request-1",
        #"ops-laptop product.updated {"name": "Cap", "starts_at": "1970-01-01T00:00:00.000Z", "max_per_customer": 2} "#
          + #"{"name": "Hat", "starts_at": null, "max_per_customer": null} request-1"#,
        #"ops-laptop product.paused {"paused": false} {"paused": true} request-1"#,
        #"ops-laptop product.resumed {"paused": true} {"paused": false} request-1"#,
        #"ops-laptop product.restocked {"total_stock": 5} {"total_stock": 8} request-1"#,
      ])
    #expect(try await checkout.adminChanges().changes.allSatisfy { $0.productID == product.id })
  }

  @Test(.checkout) func `a change of a setting and a pause in one call are two changes`() async throws {
    let checkout = TestCheckout.current.checkout
    var change = UpdateProduct(productID: try await checkout.newProduct(stock: 5).id)
    change.price = 90
    change.isPaused = true
    _ = try await checkout.updateProduct(change, by: Self.author)
    #expect(
      try await Self.log(checkout).dropFirst() == [
        #"ops-laptop product.updated {"price": 100} {"price": 90} request-1"#,
        #"ops-laptop product.paused {"paused": false} {"paused": true} request-1"#,
      ])
  }

  @Test(.checkout) func `what changes nothing is not recorded`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    var same = UpdateProduct(productID: product.id)
    same.productName = product.name
    same.price = product.price
    same.endsAt = .set(nil)
    same.isPaused = false
    #expect(try await checkout.updateProduct(same) == true)
    #expect(try await checkout.updateProduct(UpdateProduct(productID: product.id)) == true)
    // Refused: the sale would end before it starts, and too few units are left.
    var refused = UpdateProduct(productID: product.id)
    refused.startsAt = .set(Timestamp(unixSecond: 2))
    refused.endsAt = .set(Timestamp(unixSecond: 1))
    #expect(try await checkout.updateProduct(refused) == false)
    guard case .insufficientStock? = try await checkout.restockProduct(.init(productID: product.id, delta: -6)) else {
      throw Unexpected("not refused")
    }
    #expect(try await checkout.settleRefund(idempotencyKey: "nothing") == nil)
    #expect(try await Self.log(checkout).count == 1)
  }

  @Test(.checkout) func `a replay under an idempotency key is not recorded again`() async throws {
    let checkout = TestCheckout.current.checkout
    var creation = CreateProduct(name: "Cap", price: 100, currency: "USD", stock: 5)
    creation.idempotencyKey = "k"
    let product = try await checkout.newProduct(creation)
    _ = try await checkout.newProduct(creation)
    let restock = RestockProduct(productID: product.id, delta: 3, idempotencyKey: "k")
    for isReplay in [false, true] {
      #expect(try await checkout.restockProduct(restock) == .done(isReplay: isReplay))
    }
    #expect(try await checkout.adminChanges().changes.map(\.action) == ["product.restocked", "product.created"])
  }

  @Test(.checkout) func `a settlement is recorded once, with the verdict before and after it`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let hold = try await checkout.hold(1, of: product)
    _ = try await checkout.pay(hold.id, key: "k")
    let settled = try await checkout.settleRefund(idempotencyKey: "k", by: Self.author)
    _ = try await checkout.settleRefund(idempotencyKey: "k", by: Self.author)
    let changes = try await checkout.adminChanges().changes.filter { $0.action == "payment_event.settled" }
    #expect(changes.count == 1 && changes.first?.who == "ops-laptop" && changes.first?.productID == product.id)
    #expect(changes.first?.from == #"{"verdict": "parked", "settled_at": null, "idempotency_key": "k"}"#)
    #expect(changes.first?.to?.hasPrefix(#"{"verdict": "refund_due", "settled_at": "20"#) == true)
    #expect(settled?.settledAt != nil)
  }

  @Test(.checkout) func `keys are recorded without their secret`() async throws {
    let (checkout, pool) = TestCheckout.current
    let key = AdminSecret.newKey()
    _ = try await pool.transact(CreateKey(name: "laptop", scope: .read, key: key))
    _ = try await pool.transact(CreateKey(name: "laptop", scope: .admin, key: AdminSecret.newKey()))
    for _ in 0..<2 { _ = try await pool.transact(RevokeKey(name: "laptop")) }
    #expect(
      try await Self.log(checkout)
        == Self.by(
          "command line", #"key.created - {"name": "laptop", "scope": "read"} -"#,
          #"key.revoked {"name": "laptop", "scope": "read"} - -"#))
  }

  @Test(.checkout) func `a call past the program is recorded with the session's role`() async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.newProduct(stock: 5)
    try await pool.run("select restock_product(1, 1)")
    #expect(try await checkout.adminChanges().changes.first?.who == "role flashsale")
  }

  /// Whoever makes the change twice gets one row, because the first transaction has both the change and its row.
  @Test(.checkout) func `a change that is rolled back is not recorded`() async throws {
    let (checkout, pool) = TestCheckout.current
    _ = try await checkout.newProduct(stock: 5)
    try await pool.run("begin; select restock_product(1, 1); rollback")
    #expect(try await checkout.adminChanges().changes.map(\.action) == ["product.created"])
  }

  @Test(.checkout) func `the log is listed in pages, newest first`() async throws {
    let (checkout, pool) = TestCheckout.current
    let products = [try await checkout.newProduct(stock: 5), try await checkout.newProduct(stock: 5)]
    try await pool.run("select restock_product(n % 2 + 1, 1) from generate_series(1, 204) n")
    var (ids, sizes): ([Int64], [Int]) = ([], [])
    var cursor: AdminChangePage.Cursor?
    repeat {
      let page = try await checkout.adminChanges(from: cursor)
      ids += page.changes.map(\.id)
      sizes.append(page.changes.count)
      cursor = page.next.flatMap { AdminChangePage.Cursor(text: $0.text) }
    } while cursor != nil
    #expect(sizes == [100, 100, 6])
    #expect(ids == ids.sorted(by: >) && Set(ids).count == 206)
    for product in products {
      let page = try await checkout.adminChanges(of: product.id)
      #expect(page.changes.allSatisfy { $0.productID == product.id } && page.changes.count == 100)
      #expect(try await checkout.adminChanges(of: product.id, from: page.next).changes.count == 3)
    }
    #expect(try await checkout.adminChanges(of: 99).changes.isEmpty)
    for text in ["", "x", "-1", "+1", "1.5", " 1", "99999999999999999999"] {
      #expect(AdminChangePage.Cursor(text: text) == nil, "\(text)")
    }
  }
}

extension Timestamp {
  fileprivate init(unixSecond seconds: Int64) { self.init(microsecondsSince1970: seconds * 1_000_000) }
}
