import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct HoldListTests {
  private typealias Holds = Selection<ListedHold>

  private static func ids(_ checkout: Checkout, _ selection: Holds) async throws -> Set<ReservationID> {
    Set(try await checkout.page(of: selection).rows.map(\.id))
  }

  @Test(.checkout) func `each condition narrows the list, and a lapsed hold is expired`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 50)
    var ids: [ReservationID] = []
    for customer in ["ada", "ada", "ada", "bob", "ada"] {
      let outcome = try await checkout.reserveHold(productID: product.id, quantity: 1, customerID: customer)
      guard case .held(let hold, _) = outcome else { throw Unexpected("\(outcome)") }
      ids.append(hold.id)
    }
    _ = try await checkout.releaseHold(ids[1])
    _ = try await checkout.placeOrder(holdID: ids[2])
    // No worker runs for it: its job is due later.
    try await pool.run("update holds set expires_at = now() - interval '1 second' where id = '\(ids[3].uuidText)'")
    try await pool.run("update holds set status = 'expired' where id = '\(ids[4].uuidText)'")

    #expect(try await Self.ids(checkout, Holds()) == Set(ids))
    #expect(try await Self.ids(checkout, Holds(status: .active)) == [ids[0]])
    #expect(try await Self.ids(checkout, Holds(status: .released)) == [ids[1]])
    #expect(try await Self.ids(checkout, Holds(status: .ordered)) == [ids[2]])
    #expect(try await Self.ids(checkout, Holds(status: .expired)) == [ids[3], ids[4]])
    #expect(try await Self.ids(checkout, Holds(customerID: "ada")) == [ids[0], ids[1], ids[2], ids[4]])
    #expect(try await Self.ids(checkout, Holds(status: .expired, customerID: "ada")) == [ids[4]])
    #expect(try await Self.ids(checkout, Holds(productID: 2)).isEmpty)
    let lapsed = try await checkout.page(of: Holds(customerID: "bob")).rows
    #expect(lapsed.first?.status == .expired && lapsed.first?.remaining == .zero && lapsed.first?.customerID == "bob")
  }

  @Test(.checkout) func `the second of a hold tells when it was made`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 1)
    try await pool.addOrders(10, of: product.id)
    let page = try await checkout.page(of: Holds())
    #expect(page.rows.map { $0.createdAt.microsecondsSince1970 / 1_000_000 } == (0..<10).map { 1_795_000_000 - $0 })
    let third = page.rows[2].createdAt
    #expect(try await Self.ids(checkout, Holds(createdAfter: third)) == Set(page.rows.prefix(2).map(\.id)))
    #expect(try await checkout.wholeIDs(Holds(createdAfter: third)) == page.rows.prefix(2).map(\.id))
  }

  @Test(.checkout) func `pages are merged over products, newest first`() async throws {
    let (checkout, pool) = TestCheckout.current
    for _ in 0..<3 { try await pool.addOrders(70, of: checkout.newProduct(stock: 1).id) }
    for status in [Hold.Status.ordered, nil] {
      var read: [ReservationID] = []
      var cursor: ReservationID?
      repeat {
        let page = try await checkout.page(of: Holds(status: status), after: cursor)
        read += page.rows.map(\.id)
        cursor = page.next
      } while cursor != nil
      #expect(read == (try await checkout.wholeIDs(Holds())).newestFirst && read.count == 210)
    }
  }
}
