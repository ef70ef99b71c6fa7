import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// One sequence of operations.
struct Interleaving {
  var random: SeededGenerator
  let seed: UInt64
  let checkout: Checkout
  let pool: Pool
  var model: Model
  var products: [Product] = []
  var ids: [ReservationID] = []
  var history: [String] = []
  private let generator = ReservationIDGenerator()
  private static let customers = ["ada", "bob", nil]
  private static let limits: [Int32?] = [nil, nil, 1, 2, 3, 4]

  init(seed: UInt64, checkout: Checkout, pool: Pool) {
    self.seed = seed
    self.checkout = checkout
    self.pool = pool
    var random = SeededGenerator(state: seed)
    model = Model(totals: [.random(in: 1...8, using: &random), .random(in: 1...8, using: &random)])
    self.random = random
  }

  mutating func run(steps: Int) async throws {
    for product in model.products {
      products.append(try await checkout.newProduct(stock: product.total, price: Int32(Model.price)))
    }
    for _ in 0..<steps {
      try await step()
      try await compare()
    }
  }

  private mutating func step() async throws {
    let hold = ids.indices.randomElement(using: &random)
    switch Int.random(in: 0..<23, using: &random) {
    case 0...2: try await reserve()
    case 3: if let hold { try await release(hold) }
    case 4...5: if let hold { try await place(hold) }
    case 6...8: if let hold { try await pay(hold) }
    case 9: if let hold { try await lapse(hold) }
    case 10: if let hold { try await makeOverdue(hold) }
    case 11: if let hold { try await placeBatch(of: model.holds[hold].product) }
    case 12...13: if let hold { try await payBatch(of: model.holds[hold].product) }
    case 14: try await reserveBatch()
    case 15...16: try await change()
    case 18: try await settle()
    case 19: try await retire()
    case 20...22: if let hold { try await refund(hold) }
    default: try await expire()
    }
  }

  private mutating func reserve() async throws {
    let product = Int.random(in: 0..<products.count, using: &random)
    let quantity = Int32.random(in: 1...4, using: &random)
    let customer = Self.customers.randomElement(using: &random)!
    history.append("reserve \(quantity) of \(product) for \(customer ?? "-")")
    let expected = model.reserve(product, quantity, customer)
    let outcome = try await checkout.reserveHold(
      productID: products[product].id, quantity: quantity, customerID: customer)
    let found: Model.Reservation? =
      switch outcome {
      case .held: .held
      case .insufficientStock: .insufficientStock
      case .quantityAboveLimit: .quantityAboveLimit
      case .customerRequired: .customerRequired
      case .customerLimitReached: .customerLimitReached
      case .saleNotStarted: .saleNotStarted
      case .salePaused: .salePaused
      case .saleEnded: .saleEnded
      case .keyReused, .productNotFound: nil
      }
    if let id = outcome.heldID { ids.append(id) }
    try expect(found == expected, "\(outcome), not \(expected)")
  }

  /// Several requests in one batch. Each has the outcome that it would have alone, in the order of arrival.
  private mutating func reserveBatch() async throws {
    let product = Int.random(in: 0..<products.count, using: &random)
    let requests = (0..<Int.random(in: 2...5, using: &random)).map { _ in
      (Int32.random(in: 1...4, using: &random), Self.customers.randomElement(using: &random)!)
    }
    history.append("reserve \(requests) of \(product)")
    let expected = requests.map { model.reserve(product, $0.0, $0.1) }
    let new = requests.map { _ in generator.next(productID: products[product].id) }
    ids += zip(new, expected).compactMap { $1 == .held ? $0 : nil }
    let named = Self.customers.compactMap(\.self)
    let positions = requests.map { request in
      request.1.flatMap { named.firstIndex(of: $0) }.map { "\($0 + 1)" } ?? "null"
    }
    try await expect(
      expected.map(\.rawValue), fromRows: "a.outcome",
      of: """
        (select unnest(outcomes) as outcome from reserve_holds(
          \(products[product].id), \(sqlTexts(new.map { "\($0.uuid)" }))::uuid[], array\(requests.map(\.0)), 120000000, null,
          \(sqlTexts(named)), array[\(positions.joined(separator: ", "))]::integer[]))
        """)
  }

  /// An operator changes a limit or the time of the sale.
  private mutating func change() async throws {
    let product = Int.random(in: 0..<products.count, using: &random)
    var change = UpdateProduct(productID: products[product].id)
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      model.products[product].maximumPerHold = Self.limits.randomElement(using: &random)!
      change.maximumQuantityPerHold = .set(model.products[product].maximumPerHold)
    case 1:
      model.products[product].maximumPerCustomer = Self.limits.randomElement(using: &random)!
      change.maximumPerCustomer = .set(model.products[product].maximumPerCustomer)
    default:
      let now = try await pool.integer("select extract(epoch from clock_timestamp())::bigint")
      let window = [Model.Window.open, .open, .upcoming, .paused, .ended].randomElement(using: &random)!
      model.products[product].window = window
      func hours(_ count: Int64) -> Timestamp { Timestamp(microsecondsSince1970: (now + count * 3600) * 1_000_000) }
      change.startsAt = .set(window == .upcoming ? hours(1) : nil)
      change.endsAt = .set(window == .ended ? hours(-1) : nil)
      change.isPaused = window == .paused
    }
    history.append("change \(product) to \(model.products[product])")
    try expect(try await checkout.updateProduct(change) == true, "not changed")
  }

  private mutating func release(_ index: Int) async throws {
    history.append("release \(index)")
    let expected = model.release(index)
    let status = try await checkout.releaseHold(ids[index])?.status
    try expect(status == expected, "\(String(describing: status)), not \(expected)")
  }

  private mutating func place(_ index: Int) async throws {
    history.append("order \(index)")
    let before = model.place(index)
    let outcome = try await checkout.placeOrder(holdID: ids[index])
    switch (before, outcome) {
    case (.active, .placed(let order, _)):
      try expect(order.status == model.orders[index]?.status, "\(order.status)")
    case (.ordered, .alreadyOrdered), (.expired, .holdExpired), (.released, .holdReleased): break
    default: try expect(false, "\(outcome) from \(before)")
    }
  }

  /// Several requests in one batch, also for the same hold. Each has the effect that it would have alone.
  private mutating func placeBatch(of product: Int) async throws {
    let indices = someHolds(of: product)
    history.append("order together \(indices)")
    let before = indices.map { model.place($0) }
    let expected = zip(indices, before).map { index, status in
      let word = status == .active ? "placed" : status == .ordered ? "already_ordered" : "hold_\(status.rawValue)"
      return [word, model.orders[index]?.status.rawValue].compactMap(\.self).joined(separator: " ")
    }
    try await expect(
      expected, fromRows: "concat_ws(' ', a.outcome, a.status)",
      of: "place_orders(\(products[product].id), \(sqlIDs(indices)), null, 900000000)")
  }

  mutating func randomKey() -> String { "\(seed)-\(Int.random(in: 0..<12, using: &random))" }

  /// One to five holds, chosen from at most three.
  mutating func someHolds(of product: Int) -> [Int] {
    let few = ids.indices.filter { model.holds[$0].product == product }.shuffled(using: &random).prefix(3)
    return (0..<Int.random(in: 1...5, using: &random)).map { _ in few.randomElement(using: &random)! }
  }

  func sqlIDs(_ indices: [Int]) -> String { sqlTexts(indices.map { "\(ids[$0].uuid)" }) + "::uuid[]" }

  func sqlTexts(_ texts: [String]) -> String {
    "array[" + texts.map { "'\($0)'" }.joined(separator: ", ") + "]"
  }

  /// Calls an SQL function directly. Concurrent requests to the checkout would arrive in any order.
  func expect(_ expected: [String], fromRows row: String, of function: String) async throws {
    let isAsExpected = try await pool.integer(
      "(select array_agg(\(row)) = \(sqlTexts(expected)) from \(function) a)::integer")
    try expect(isAsExpected == 1, "not \(expected)")
  }

  /// The hold lapses. Its job is not due yet, so the next operation finds a lapsed hold.
  private mutating func lapse(_ index: Int) async throws {
    history.append("lapse \(index)")
    guard model.holds[index].status == .active else { return }
    model.holds[index].isLapsed = true
    try await pool.run(
      "update holds set expires_at = clock_timestamp() - interval '1 ms' where id = '\(ids[index].uuid)'")
  }

  private mutating func makeOverdue(_ index: Int) async throws {
    history.append("overdue \(index)")
    guard model.orders[index]?.status == .pendingPayment else { return }
    model.orders[index]!.isOverdue = true
    try await pool.run(
      "update orders set payment_due_at = clock_timestamp() - interval '1 ms' where id = '\(ids[index].uuid)'")
  }

  private mutating func expire() async throws {
    history.append("worker")
    model.expire()
    // Jobs are made due first: a worker would run them at their scheduled time.
    for product in products {
      try await pool.run(
        """
        update scheduled_jobs set run_at = clock_timestamp() where product_id = \(product.id);
        do $$ begin while (select rows_done is not null from \(dueJobs(limit: 100)) limit 1) loop end loop; end $$
        """)
    }
  }

  private func compare() async throws {
    for (index, product) in products.enumerated() {
      let found = try await checkout.product(product.id)
      let stock = found?.availableStock
      try expect(stock == model.available(index), "stock \(String(describing: stock)), not \(model.available(index))")
      try expect(
        found?.status == model.status(index), "\(String(describing: found?.status)), not \(model.status(index))")
    }
    try await compareShop()
    // The reads run at once, so they share a round trip.
    let states = try await withThrowingTaskGroup(of: (Int, Hold.Status?, Order.Status?).self) { group in
      for (index, id) in ids.enumerated() {
        group.addTask { [checkout] in
          async let hold = checkout.hold(id)
          async let order = checkout.order(id)
          return (index, try await hold?.status, try await order?.status)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    for (index, hold, order) in states {
      try expect(hold == model.visibleStatus(index), "hold \(index) is \(String(describing: hold))")
      try expect(order == model.orders[index]?.status, "order \(index) is \(String(describing: order))")
    }
    try await compareRefunds()
  }

  /// Every unit has one place in the snapshot that operators watch.
  private func compareShop() async throws {
    guard case .read(let shop) = await checkout.shop(within: .seconds(30)) else { throw Unexpected("no shop") }
    for (index, product) in products.enumerated() {
      let figures = try #require(shop.products.first { $0.product.id == product.id })
      let found = (held: figures.heldStock, unpaid: figures.unpaidStock, paid: figures.paidStock)
      try expect(found == model.places(index), "shop \(found), not \(model.places(index))")
      try expect(
        figures.product.availableStock == model.available(index) && figures.product.status == model.status(index),
        "shop \(figures.product)")
      try expect(
        Int64(figures.product.availableStock) + found.held + found.unpaid + found.paid == Int64(product.totalStock),
        "not conserved: \(figures)")
    }
  }

  func expect(_ isTrue: Bool, _ found: String) throws {
    if !isTrue { throw Unexpected("\(found) after: \(history.joined(separator: "; "))") }
  }
}
