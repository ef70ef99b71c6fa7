import Postgres
import TestSupport
import Testing

@testable import Checkout

@Suite struct MetadataTests {
  private static func metadata(_ members: KeyValuePairs<String, String>) -> Metadata? {
    Metadata(members.map { (name: $0.key, value: $0.value) })
  }

  /// A response shows the metadata of the request. A later response shows what the database has.
  @Test(
    .database,
    arguments: [
      [("a", "1")], [("bb", ""), ("a", "x"), ("B", "y")], [("é", "e\u{301}"), ("zz", "z"), ("z", "\u{1F600}")],
      [("\"\\/\u{1}", "\"\\/\u{8}\u{C}\n\r\t\u{1}\u{1F}\u{7F}\u{85}\u{2028}"), ("\n", "\u{E}")],
    ] as [[(name: String, value: String)]])
  func `the text of metadata is the text that PostgreSQL prints`(members: [(name: String, value: String)]) async throws
  {
    let pool = Pool(ConnectionConfiguration(url: TestDatabase.url), size: 1)
    let text = "$json$" + (try #require(Metadata(members)).json) + "$json$"
    #expect(try await pool.integer("select (\(text)::jsonb::text = \(text))::integer") == 1)
    await pool.close()
  }

  @Test func `no members are no metadata`() {
    #expect(Metadata([]) == nil)
  }

  @Test func `metadata is compared byte by byte, in any order`() {
    #expect(Self.metadata(["a": "1", "b": "2"]) == Self.metadata(["b": "2", "a": "1"]))
    #expect(Self.metadata(["a": "\u{e9}"]) != Self.metadata(["a": "e\u{301}"]))
  }

  @Test(.checkout) func `an order has the metadata of its hold, and its own on top`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let outcome = try await checkout.reserveHold(
      productID: product.id, quantity: 1, metadata: Self.metadata(["size": "L", "cart": "7"]))
    guard case .held(let hold, false) = outcome else { throw Unexpected("\(outcome)") }
    #expect(hold.metadata?.json == #"{"cart": "7", "size": "L"}"#)
    #expect(try await checkout.hold(hold.id)?.metadata == hold.metadata)
    let placed = try await checkout.placeOrder(
      holdID: hold.id, metadata: Self.metadata(["size": "M", "gift": "yes"]))
    guard case .placed(let order, false) = placed else { throw Unexpected("\(placed)") }
    #expect(order.metadata?.json == #"{"cart": "7", "gift": "yes", "size": "M"}"#)
    #expect(try await checkout.order(order.id) == order)
    #expect(try await checkout.hold(hold.id)?.metadata == hold.metadata)
    #expect(try await checkout.hold(checkout.hold(1, of: product).id)?.metadata == nil)
  }

  /// The holds are locked in another order than that of the requests.
  @Test(.checkout) func `the requests of a batch keep their metadata apart`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 10)
    let requests = [nil, "a", nil, "b"].map { note in
      ReserveHold.Request(
        productID: product.id, quantity: 1, customerID: nil, idempotencyKey: nil,
        metadata: note.flatMap { Self.metadata(["note": $0]) })
    }
    for own in [nil, Self.metadata(["own": "x"])] {
      let ids = try await pool.reserve(requests, of: product).compactMap(\.?.heldID)
      let orders = ids.reversed().enumerated().map { index, id in
        PlaceOrder.Request(holdID: id, idempotencyKey: nil, metadata: index == 1 ? own : nil)
      }
      let texts = try await pool.place(orders, of: product).map { outcome in
        if case .placed(let order, _)? = outcome { order.metadata?.json ?? "none" } else { "not placed" }
      }
      #expect(texts == [#"{"note": "b"}"#, own?.json ?? "none", #"{"note": "a"}"#, "none"])
    }
  }

  @Test(.checkout) func `a request with other metadata under the same key is another request`() async throws {
    let checkout = TestCheckout.current.checkout
    let product = try await checkout.newProduct(stock: 5)
    let cart = Self.metadata(["cart": "7"])
    func reserve(_ metadata: Metadata?) async throws -> ReserveHold.Outcome {
      try await checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k", metadata: metadata)
    }
    let first = try await reserve(cart)
    guard case .held(let hold, false) = first else { throw Unexpected("\(first)") }
    let again = try await reserve(cart)
    guard case .held(let replayed, true) = again, replayed.metadata == cart else { throw Unexpected("\(again)") }
    #expect(try await reserve(Self.metadata(["cart": "8"])) == .keyReused)
    #expect(try await reserve(nil) == .keyReused)

    func place(_ metadata: Metadata?) async throws -> PlaceOrder.Outcome {
      try await checkout.placeOrder(holdID: hold.id, idempotencyKey: "o", metadata: metadata)
    }
    let gift = Self.metadata(["gift": "yes"])
    let placed = try await place(gift)
    guard case .placed(let order, false) = placed else { throw Unexpected("\(placed)") }
    #expect(try await place(gift) == .placed(order, isReplay: true))
    #expect(try await place(nil) == .keyReused)
    #expect(try await place(Self.metadata(["gift": "no"])) == .keyReused)
  }

  @Test(.checkout) func `the requests of a batch under one key are compared by their metadata`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let requests = ["7", "7", "8"].map {
      ReserveHold.Request(
        productID: product.id, quantity: 1, customerID: nil, idempotencyKey: "k", metadata: Self.metadata(["cart": $0]))
    }
    let outcomes = try await pool.reserve(requests, of: product)
    guard case .held(let hold, false)? = outcomes[0], case .held(let replayed, true)? = outcomes[1] else {
      throw Unexpected("\(outcomes)")
    }
    #expect(hold.id == replayed.id && outcomes[2] == .keyReused)
  }
}
