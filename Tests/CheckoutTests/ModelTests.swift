import Foundation
import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Random sequences of operations on a few products. After each step the database is compared with the model.
///
/// `FLASHSALE_INTERLEAVINGS` sets the number of sequences. `FLASHSALE_SEED` repeats those of a failure.
@Suite struct ModelTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let interleavings = environment["FLASHSALE_INTERLEAVINGS"].flatMap { Int($0) } ?? 150
  private static let seed = environment["FLASHSALE_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...999_999_999)
  private static let steps = 25
  /// The number of databases on which sequences run in parallel.
  private static let parallelism = 4

  @Test func `random sequences of operations agree with the model`() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<Self.parallelism {
        group.addTask {
          try await TestDatabases.withDatabase { url in
            try await withCheckout(on: url) { checkout, pool in
              for number in stride(from: worker, to: Self.interleavings, by: Self.parallelism) {
                let seed = Self.seed + UInt64(number)
                var interleaving = Interleaving(seed: seed, checkout: checkout, pool: pool)
                do {
                  try await interleaving.run(steps: Self.steps)
                } catch {
                  Issue.record("FLASHSALE_SEED=\(seed) FLASHSALE_INTERLEAVINGS=1: \(error)")
                  return
                }
              }
              try await checkout.expectCleanAudit()
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }
}

private struct Interleaving {
  private var random: SeededGenerator
  private let seed: UInt64
  private let checkout: Checkout
  private let pool: Pool
  private var model: Model
  private var products: [Product] = []
  private var ids: [ReservationID] = []
  private var history: [String] = []
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
    switch Int.random(in: 0..<20, using: &random) {
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

  private mutating func pay(_ index: Int) async throws {
    let status: PaymentEvent.Status = Bool.random(using: &random) ? .success : .failed
    let right = Int64(model.holds[index].quantity) * Model.price
    let amount = [nil, nil, right, right + 1].randomElement(using: &random)!
    let key = randomKey()
    history.append("\(status) \(index) amount \(String(describing: amount)) key \(key)")
    let expected = model.pay(index, status, amount: amount, key: key)
    let outcome = try await checkout.pay(ids[index], status, key: key, amount: amount)
    let found: Model.Payment =
      switch outcome {
      case .keyReused: .keyReused
      case .decided(let verdict, let orderStatus, let isReplay): .decided(verdict, orderStatus, isReplay: isReplay)
      }
    try expect(found == expected, "\(found), not \(expected)")
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

  /// Several events in one batch, also for the same order. They are applied one after the other.
  private mutating func payBatch(of product: Int) async throws {
    let indices = someHolds(of: product)
    let keys = (0..<12).shuffled(using: &random).prefix(indices.count).map { "\(seed)-\($0)" }
    let statuses = indices.map { _ in Bool.random(using: &random) ? PaymentEvent.Status.success : .failed }
    let amounts = indices.map { index -> Int64? in
      let right = Int64(model.holds[index].quantity) * Model.price
      return [nil, nil, right, right + 1].randomElement(using: &random)!
    }
    history.append("together \(indices) \(statuses) amounts \(amounts) keys \(keys)")
    let expected = indices.enumerated().map { place, index in
      switch model.pay(index, statuses[place], amount: amounts[place], key: keys[place]) {
      case .keyReused: "key_reused"
      case .decided(let verdict, let orderStatus, let isReplay):
        [isReplay ? "replayed" : "recorded", verdict.rawValue, orderStatus?.rawValue].compactMap(\.self)
          .joined(separator: " ")
      }
    }
    try await expect(
      expected, fromRows: "concat_ws(' ', a.outcome, a.verdict, a.order_status)",
      of: """
        apply_payment_events(
          \(products[product].id), \(sqlTexts(keys)), \(sqlIDs(indices)), \(sqlTexts(statuses.map(\.rawValue))),
          array[\(amounts.map { $0.map(String.init) ?? "null" }.joined(separator: ", "))]::bigint[],
          array_fill(null::text, array[\(indices.count)]))
        """)
  }

  private mutating func settle() async throws {
    let key = randomKey()
    history.append("settle \(key)")
    let expected = model.settle(key)
    let event = try await checkout.settleRefund(idempotencyKey: key)
    try expect(event.map { $0.settledAt != nil } == expected, "\(String(describing: event))")
  }

  /// An event becomes a month old, and a worker removes old rows.
  private mutating func retire() async throws {
    let key = randomKey()
    history.append("retire \(key)")
    model.retire(key)
    let ids = products.map { "\($0.id)" }.joined(separator: ",")
    try await pool.run(
      """
      update payment_events set received_at = received_at - interval '31 days' where idempotency_key = '\(key)';
      select remove_old(id, 100, 259200000000, 604800000000, 2592000000000) from unnest('{\(ids)}'::integer[]) id;
      update payment_events set received_at = received_at + interval '31 days' where idempotency_key = '\(key)'
      """)
  }

  private mutating func randomKey() -> String { "\(seed)-\(Int.random(in: 0..<12, using: &random))" }

  /// One to five holds, chosen from at most three.
  private mutating func someHolds(of product: Int) -> [Int] {
    let few = ids.indices.filter { model.holds[$0].product == product }.shuffled(using: &random).prefix(3)
    return (0..<Int.random(in: 1...5, using: &random)).map { _ in few.randomElement(using: &random)! }
  }

  private func sqlIDs(_ indices: [Int]) -> String { sqlTexts(indices.map { "\(ids[$0].uuid)" }) + "::uuid[]" }

  private func sqlTexts(_ texts: [String]) -> String {
    "array[" + texts.map { "'\($0)'" }.joined(separator: ", ") + "]"
  }

  /// Calls an SQL function directly. Concurrent requests to the checkout would arrive in any order.
  private func expect(_ expected: [String], fromRows row: String, of function: String) async throws {
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

  private func expect(_ isTrue: Bool, _ found: String) throws {
    if !isTrue { throw Unexpected("\(found) after: \(history.joined(separator: "; "))") }
  }
}
