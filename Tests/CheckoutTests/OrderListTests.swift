import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Lists of orders. `HoldListTests` has what is different for holds.
@Suite struct OrderListTests {
  private typealias Orders = Selection<ListedOrder>

  private static func ids(_ checkout: Checkout, _ selection: Orders) async throws -> Set<ReservationID> {
    let page = try await checkout.page(of: selection)
    #expect(page.next == nil)
    return Set(page.rows.map(\.id))
  }

  /// All pages of a selection.
  private static func pages(_ checkout: Checkout, _ selection: Orders) async throws -> [ListPage<ListedOrder>] {
    var pages: [ListPage<ListedOrder>] = []
    repeat {
      pages.append(try await checkout.page(of: selection, after: pages.last?.next))
    } while pages.last?.next != nil
    return pages
  }

  @Test(.checkout) func `each condition narrows the list`() async throws {
    let (checkout, pool) = TestCheckout.current
    let caps = try await checkout.newProduct(stock: 50)
    let hats = try await checkout.newProduct(stock: 50)
    var orders: [Order] = []
    for (product, customer) in [(caps, "ada"), (caps, "bob"), (hats, "ada"), (hats, nil), (caps, "ada")] {
      let outcome = try await checkout.reserveHold(productID: product.id, quantity: 1, customerID: customer)
      guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome)") }
      orders.append(try await checkout.order(hold))
    }
    let ids = orders.map(\.id)
    _ = try await checkout.pay(ids[0], key: "a")
    _ = try await checkout.pay(ids[1], .failed, key: "b")
    try await pool.run("update orders set status = 'expired' where id = '\(ids[2].uuidText)'")

    #expect(try await Self.ids(checkout, Orders()) == Set(ids))
    #expect(try await Self.ids(checkout, Orders(productID: hats.id)) == [ids[2], ids[3]])
    #expect(try await Self.ids(checkout, Orders(productID: 99)).isEmpty)
    #expect(try await Self.ids(checkout, Orders(status: .paid)) == [ids[0]])
    #expect(try await Self.ids(checkout, Orders(status: .cancelled)) == [ids[1]])
    #expect(try await Self.ids(checkout, Orders(status: .expired)) == [ids[2]])
    #expect(try await Self.ids(checkout, Orders(status: .pendingPayment)) == [ids[3], ids[4]])
    #expect(try await Self.ids(checkout, Orders(customerID: "ada")) == [ids[0], ids[2], ids[4]])
    #expect(try await Self.ids(checkout, Orders(productID: caps.id, customerID: "ada")) == [ids[0], ids[4]])
    #expect(try await Self.ids(checkout, Orders(status: .expired, customerID: "ada")) == [ids[2]])
    #expect(try await Self.ids(checkout, Orders(status: .expired, customerID: "bob")).isEmpty)
    let listed = try await checkout.page(of: Orders(status: .paid)).rows
    let paid = try #require(try await checkout.order(ids[0]))
    #expect(listed.first?.amount == paid.amount && listed.first?.paidAt == paid.paidAt)
    #expect(listed.first?.customerID == "ada" && listed.first?.refundedAmount == 0 && listed.first?.dispute == nil)
  }

  @Test(.checkout) func `pages have no gap and no repeat while orders are added`() async throws {
    let (checkout, pool) = TestCheckout.current
    for count in [130, 70, 1] {
      let product = try await checkout.newProduct(stock: 1)
      try await pool.addOrders(count, of: product.id)
    }
    var read: [ReservationID] = []
    var sizes: [Int] = []
    var cursor: ReservationID?
    let all = try await checkout.wholeIDs(Orders())
    repeat {
      let page = try await checkout.page(of: Orders(), after: cursor)
      read += page.rows.map(\.id)
      sizes.append(page.rows.count)
      cursor = page.next
      try await pool.addOrders(30, of: 2, until: 1_795_001_000 + Int64(sizes.count))
    } while cursor != nil
    #expect(sizes == [100, 100, 1])
    #expect(read == all.newestFirst && read.count == 201)
  }

  /// With more products than a page has rows, only the products with the newest orders are read in full.
  @Test(.checkout) func `the newest orders of many products are merged`() async throws {
    let (checkout, pool) = TestCheckout.current
    for number in 1...120 {
      let product = try await checkout.newProduct(stock: 1)
      try await pool.addOrders(number == 7 ? 150 : 3, of: product.id, until: 1_795_000_000 - Int64(number % 40) * 2)
    }
    let pages = try await Self.pages(checkout, Orders())
    let read = pages.flatMap { $0.rows.map(\.id) }
    #expect(read == (try await checkout.wholeIDs(Orders())).newestFirst)
    #expect(read.count == 119 * 3 + 150 && pages.dropLast().allSatisfy { $0.rows.count == 100 })
  }

  /// One request reads a bounded number of orders, so it may find none of those that meet the conditions.
  @Test(.checkout) func `orders behind many others are found on a later page`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    try await pool.addOrders(5, of: product.id, until: 1_794_900_000)
    try await pool.addOrders(21_000, of: product.id, status: "pending_payment")
    let pages = try await Self.pages(checkout, Orders(status: .paid))
    #expect(pages.count > 1 && pages[0].rows.isEmpty && pages[0].next != nil)
    #expect(pages.flatMap(\.rows).count == 5)
    // More unpaid orders than are read and sorted at once.
    let unpaid = try await Self.pages(checkout, Orders(productID: product.id, status: .pendingPayment))
    #expect(unpaid.count == 210 && unpaid.allSatisfy { $0.rows.count == 100 })
    #expect(Set(unpaid.flatMap { $0.rows.map(\.id) }).count == 21_000)
  }

  @Test(.checkout) func `the list of a customer with very many orders is complete`() async throws {
    let (checkout, pool) = TestCheckout.current
    for _ in 0..<2 {
      let product = try await checkout.newProduct(stock: 1)
      try await pool.addOrders(
        6_000, of: product.id, customer: "case when n % 2 = 0 then 'guest' else 'ada ' || n end")
    }
    let ids = try await Self.pages(checkout, Orders(customerID: "guest")).flatMap { $0.rows.map(\.id) }
    #expect(ids.count == 6_000 && ids == ids.newestFirst)
    #expect(try await Self.pages(checkout, Orders(customerID: "ada 7")).flatMap(\.rows).count == 2)
  }

  @Test(.checkout, arguments: [Order.Status.cancelled, .expired, .refunded])
  func `orders of a rare status fill pages, wherever they are`(status: Order.Status) async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    try await pool.addOrders(150, of: product.id, until: 1_794_000_000, status: status.rawValue)
    try await pool.addOrders(11_000, of: product.id)
    let pages = try await Self.pages(checkout, Orders(status: status))
    #expect(pages.map(\.rows.count) == [100, 50])
    #expect(pages.flatMap(\.rows).allSatisfy { $0.status == status })
  }

  @Test(.checkout(holdTimeToLive: .seconds(600))) func `the time of the order counts, not that of its hold`()
    async throws
  {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    try await pool.addOrders(10, of: product.id)
    // Each was created a minute after its hold was made.
    let last = Timestamp(microsecondsSince1970: (1_795_000_000 + 60) * 1_000_000)
    let before = Timestamp(microsecondsSince1970: last.microsecondsSince1970 - 3_000_000)
    #expect(try await Self.ids(checkout, Orders(createdAfter: last)).isEmpty)
    #expect(try await Self.ids(checkout, Orders(createdAfter: before)).count == 3)
    // The first order waited longer than its hold lives, but less than ten minutes longer, which is the margin.
    try await pool.run(
      "update orders set created_at = to_timestamp(1795000000 + 1000) where created_at = (select min(created_at) from orders)"
    )
    #expect(try await Self.ids(checkout, Orders(createdAfter: last)).count == 1)
    #expect(try await checkout.wholeIDs(Orders(createdAfter: last)).count == 1)
  }

  /// A page knows the server's present time to live only. A whole list assumes the longest one.
  @Test(.checkout) func `an order of a hold from before a shorter setting is in the whole list`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    try await pool.addOrders(1, of: product.id)
    try await pool.run("update orders set created_at = to_timestamp(1795000000 + 86400)")
    let selection = Orders(createdAfter: Timestamp(microsecondsSince1970: (1_795_000_000 + 86_000) * 1_000_000))
    #expect(try await Self.ids(checkout, selection).isEmpty)
    #expect(try await checkout.wholeIDs(selection).count == 1)
  }

  @Test(.checkout) func `a whole list has each order once, product by product`() async throws {
    let (checkout, pool) = TestCheckout.current
    for count in [2_500, 0, 1_000, 1] {
      let product = try await checkout.newProduct(stock: 1)
      try await pool.addOrders(count, of: product.id, customer: "'ada'")
    }
    let ids = try await checkout.wholeIDs(Orders())
    #expect(ids.count == 3_501 && Set(ids).count == 3_501)
    #expect(ids.map(\.uuidText) == ids.map(\.uuidText).sorted(by: >))
    #expect(try await checkout.wholeIDs(Orders(customerID: "ada")) == ids)
    // One that was cut goes on where it ended.
    for cut in [1, 1_000, 1_001, 3_000, 3_501] {
      #expect(try await checkout.wholeIDs(Orders(), after: ids[cut - 1]) == Array(ids.dropFirst(cut)))
    }
  }
}

extension Checkout {
  func wholeIDs<Row: Listed>(
    _ selection: Selection<Row>, after cursor: ReservationID? = nil
  ) async throws -> [ReservationID] {
    var list = try await wholeList(selection, after: cursor)
    var ids: [ReservationID] = []
    while let rows = try await next(of: &list) {
      #expect(!rows.isEmpty)
      ids += rows.map(\.id)
    }
    return ids
  }
}
