import Postgres
import TestSupport
import Testing

@testable import Checkout

/// The connection breaks during a batch. The server does not know whether the batch was committed, but the caller gets the
/// true result.
@Suite struct LostAnswerTests {
  /// What is lost.
  enum Loss: CaseIterable {
    /// The database executes the statement, and its answer is lost.
    case answer
    /// The statement never reaches the database.
    case statement
    /// The statement reaches the database after the second attempt.
    case lateStatement
  }

  private func withProxy(
    holdTimeToLive: Duration = .seconds(120),
    _ body: @escaping @Sendable (Checkout, Pool, DatabaseProxy) async throws -> Void
  ) async throws {
    try await TestDatabases.withDatabase { url in
      try await DatabaseProxy.with(url) { proxy in
        try await withCheckout(on: url, holdTimeToLive: holdTimeToLive, through: proxy) { checkout, pool in
          try await body(checkout, pool, proxy)
        }
      }
    }
  }

  /// Makes a call that sends `statement`, and loses the statement or its answer.
  ///
  /// - Parameters:
  ///   - isDone: whether the database has executed the statement.
  ///   - meanwhile: runs between the loss and the second attempt.
  private func losing<Outcome: Sendable>(
    _ loss: Loss, of statement: String, on proxy: DatabaseProxy, isDone: () async throws -> Bool,
    meanwhile: () async throws -> Void = {}, _ call: @escaping @Sendable () async throws -> Outcome
  ) async throws -> Outcome {
    proxy.lose(loss == .answer ? .answer : .request, of: statement)
    let outcome = Task { try await call() }
    try await until("the statement is sent") { proxy.isLosing }
    if loss == .answer { try await until("the statement is executed") { try await isDone() } }
    try await meanwhile()
    proxy.hangUp()
    let result = try await outcome.value
    if loss == .lateStatement { try await proxy.deliverLate() }
    return result
  }

  @Test(arguments: Loss.allCases, [nil, "key"])
  func `a hold is made once when its answer is lost`(_ loss: Loss, key: String?) async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let outcome = try await losing(loss, of: "reserve_holds", on: proxy) {
        try await pool.integer("select count(*) from holds") == 1
      } _: {
        try await checkout.reserveHold(
          productID: product.id, quantity: 2, idempotencyKey: key, metadata: Metadata([("cart", "7")]))
      }
      guard case .held(let hold, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
      #expect(hold.metadata == Metadata([("cart", "7")]))
      #expect(try await checkout.hold(hold.id)?.status == .active)
      #expect(try await pool.integer("select sum(quantity) from holds where status = 'active'") == 2)
      #expect(try await checkout.availableStock(product) == 3)
      try await checkout.expectCleanAudit()
    }
  }

  /// The delayed statement finds enough units, and must still make no hold:
  ///
  ///     server:       sends the statement, which is delayed; the connection breaks
  ///     other buyer:  takes all units
  ///     server:       sends the statement again; the buyer is refused
  ///     other buyer:  returns the units
  ///     database:     receives the delayed statement
  @Test func `a late statement makes no hold after its buyer was refused`() async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let all = ReservationID(productID: product.id, unixSecond: 1, random: 1)
      let outcome = try await losing(.lateStatement, of: "reserve_holds", on: proxy) {
        false
      } meanwhile: {
        try await pool.run(
          "select reserve_holds(\(product.id), array['\(all.uuidText)']::uuid[], '{5}', 60000000, null, null, null)")
      } _: {
        let outcome = try await checkout.reserveHold(productID: product.id, quantity: 2)
        _ = try await checkout.releaseHold(all)
        return outcome
      }
      #expect(outcome.isInsufficientStock)
      #expect(try await pool.integer("select count(*) from holds where status = 'active'") == 0)
      #expect(try await checkout.availableStock(product) == 5)
      try await checkout.expectCleanAudit()
    }
  }

  /// The first transaction has inserted the hold, and waits for the product's row when its connection breaks.
  @Test func `the second attempt waits for the first transaction to end`() async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      proxy.lose(.answer, of: "reserve_holds")
      let outcome = try await pool.holding("select from products where id = \(product.id) for update") { commit in
        let call = Task { try await checkout.reserveHold(productID: product.id, quantity: 2) }
        try await pool.untilBlocked(1)
        proxy.hangUp()
        try await pool.untilBlocked(2)
        try await commit()
        return try await call.value
      }
      guard case .held(_, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
      #expect(try await pool.integer("select count(*) from holds") == 1)
      #expect(try await checkout.availableStock(product) == 3)
      try await checkout.expectCleanAudit()
    }
  }

  /// A batch makes a hold and replays a key. After its commit, the read of the replayed hold fails.
  @Test(.checkout) func `a hold is found when the read after its commit fails`() async throws {
    let (checkout, pool) = TestCheckout.current
    let product = try await checkout.newProduct(stock: 5)
    let keyed = try await checkout.hold(1, of: product, idempotencyKey: "k")
    try await pool.run(
      """
      create sequence reads;
      alter function read_holds rename to read_holds_well;
      create function read_holds(p_product_id integer, p_hold_ids uuid[])
      returns table (
        id uuid, quantity integer, status text, expires_at timestamptz, remaining_us bigint, metadata text)
      language plpgsql security definer set search_path = pg_catalog, flashsale as $$
      begin
          if nextval('reads') = 1 then
              raise exception 'locked for too long' using errcode = 'lock_not_available';
          end if;
          return query select * from read_holds_well(p_product_id, p_hold_ids);
      end
      $$;
      """)
    let outcomes = try await pool.holding("select from products where id = \(product.id) for update") { commit in
      async let first = checkout.reserveHold(productID: product.id, quantity: 1)
      try await pool.untilBlocked(1)
      async let replay = checkout.reserveHold(productID: product.id, quantity: 1, idempotencyKey: "k")
      async let second = checkout.reserveHold(productID: product.id, quantity: 1)
      try await until("both wait for the next batch") { checkout.waitingReservations(of: product.id) == 2 }
      try await commit()
      return try await [first, replay, second]
    }
    guard case .held(_, isReplay: false) = outcomes[0], case .held(let replayed, isReplay: true) = outcomes[1],
      case .held(let new, isReplay: false) = outcomes[2]
    else { throw Unexpected("\(outcomes)") }
    #expect(replayed.id == keyed.id)
    #expect(try await checkout.hold(new.id)?.status == .active)
    #expect(try await pool.integer("select last_value from reads") > 1)
    #expect(try await checkout.availableStock(product) == 2)
    try await checkout.expectCleanAudit()
  }

  /// After a lost answer, the server asks for the holds of each product on their own.
  @Test(.checkout) func `holds of a batch of several products are found or voided`() async throws {
    let (checkout, pool) = TestCheckout.current
    let url = TestDatabase.url
    let database = Pool(ConnectionConfiguration(url: url), size: 1)
    let useCase = ReserveHold.forTests
    var batches: [LaneBatch<Int32, ReserveHold.Request, [ReservationID]>] = []
    for _ in 1...2 {
      let product = try await checkout.newProduct(stock: 5)
      // A product without a job needs a batch of its own.
      _ = try await checkout.hold(1, of: product)
      let requests = (1...2).map { _ in
        ReserveHold.Request(productID: product.id, quantity: 1, customerID: nil, idempotencyKey: nil)
      }
      batches.append(
        LaneBatch(
          lane: product.id, requests: requests, mark: useCase.mark(for: requests, lane: product.id)))
    }
    let (made, lost) = (
      batches,
      batches.map { batch in
        LaneBatch(
          lane: batch.lane, requests: batch.requests, mark: useCase.mark(for: batch.requests, lane: batch.lane))
      }
    )
    try await database.withConnection { connection in
      try await connection.with { connection in
        let outcomes = try useCase.executeTogether(made, on: connection)
        for (batch, outcomes) in zip(made, outcomes) {
          let found = try useCase.resume(batch.requests, lane: batch.lane, mark: batch.mark, on: connection)
          #expect(found.map(\.?.heldID) == outcomes.map(\.?.heldID))
        }
        for batch in lost {
          for _ in 1...2 {
            let found = try useCase.resume(batch.requests, lane: batch.lane, mark: batch.mark, on: connection)
            #expect(found == [nil, nil])
          }
        }
        // The lost statement comes late, and must have no effect.
        let error = #expect(throws: PostgresError.self) { try useCase.executeTogether(lost, on: connection) }
        guard case .server(let refusal)? = error else { throw Unexpected("\(String(describing: error))") }
        #expect(refusal.sqlState == "23505")
      }
    }
    await database.close()
    #expect(try await pool.integer("select sum(quantity) from holds where status = 'active'") == 6)
    try await checkout.expectCleanAudit()
  }

  @Test(arguments: Loss.allCases, [nil, "key"])
  func `an order is placed once when its answer is lost`(_ loss: Loss, key: String?) async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let hold = try await checkout.hold(2, of: product)
      let outcome = try await losing(loss, of: "place_orders", on: proxy) {
        try await pool.integer("select count(*) from orders") == 1
      } _: {
        try await checkout.placeOrder(holdID: hold.id, idempotencyKey: key, metadata: Metadata([("gift", "yes")]))
      }
      guard case .placed(let order, isReplay: false) = outcome else { throw Unexpected("\(outcome)") }
      #expect(order.id == hold.id && order.metadata == Metadata([("gift", "yes")]))
      #expect(try await pool.integer("select count(*) from orders") == 1)
      #expect(try await checkout.placeOrder(holdID: hold.id) == .alreadyOrdered)
      try await checkout.expectCleanAudit()
    }
  }

  @Test func `a hold that another request ordered meanwhile is already ordered`() async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let hold = try await checkout.hold(2, of: product)
      let outcome = try await losing(.statement, of: "place_orders", on: proxy) {
        false
      } meanwhile: {
        try await pool.run(
          "select place_orders(\(product.id), array['\(hold.id.uuidText)']::uuid[], null, 60000000, 1)")
      } _: {
        try await checkout.placeOrder(holdID: hold.id)
      }
      #expect(outcome == .alreadyOrdered)
    }
  }

  @Test(arguments: Loss.allCases)
  func `a payment event has one effect when its answer is lost`(_ loss: Loss) async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let order = try await checkout.order(2, of: product)
      let outcome = try await losing(loss, of: "apply_payment_events", on: proxy) {
        try await pool.integer("select count(*) from payment_events") == 1
      } _: {
        try await checkout.pay(order.id, .failed, key: "payment")
      }
      guard case .decided(.applied, orderStatus: .cancelled, _) = outcome else { throw Unexpected("\(outcome)") }
      #expect(try await checkout.availableStock(product) == 5)
      #expect(try await pool.integer("select count(*) from payment_events") == 1)
      try await checkout.expectCleanAudit()
    }
  }

  @Test(arguments: Loss.allCases)
  func `a hold is released once when its answer is lost`(_ loss: Loss) async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let hold = try await checkout.hold(2, of: product)
      let outcome = try await losing(loss, of: "release_holds", on: proxy) {
        try await pool.integer("select count(*) from holds where status = 'released'") == 1
      } _: {
        try await checkout.releaseHold(hold.id)
      }
      #expect(outcome?.status == .released)
      #expect(try await checkout.availableStock(product) == 5)
      try await checkout.expectCleanAudit()
    }
  }

  @Test(arguments: Loss.allCases, [nil, "key"])
  func `a restock adds its units once when its answer is lost`(_ loss: Loss, key: String?) async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let change = RestockProduct(productID: product.id, delta: 3, idempotencyKey: key)
      let outcome = try await losing(loss, of: "restock_product", on: proxy) {
        try await pool.integer("select total_stock from products") == 8
      } _: {
        try await checkout.restockProduct(change)
      }
      guard case .done? = outcome else { throw Unexpected("\(String(describing: outcome))") }
      #expect(try await checkout.product(product.id)?.totalStock == 8)
      #expect(try await checkout.adminChanges().changes.map(\.action) == ["product.restocked", "product.created"])
      try await checkout.expectCleanAudit()
    }
  }

  @Test(arguments: Loss.allCases)
  func `a product is created once when its answer is lost`(_ loss: Loss) async throws {
    try await withProxy { checkout, pool, proxy in
      _ = try await losing(loss, of: "create_product", on: proxy) {
        try await pool.integer("select count(*) from products") == 1
      } _: {
        try await checkout.newProduct(stock: 5)
      }
      #expect(try await pool.integer("select count(*) from products") == 1)
    }
  }

  /// No answer passes the proxy, so the caller gets outcomeUnknown. Then it repeats the call.
  @Test func `a restock with an unknown outcome can be repeated under its key`() async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let change = RestockProduct(productID: product.id, delta: 3, idempotencyKey: "key")
      try await checkout.openTwoConnections(product, pool)
      proxy.freeze()
      let error = await #expect(throws: CheckoutError.self) {
        try await checkout.restockProduct(change)
      }
      guard case .outcomeUnknown? = error else { throw Unexpected("\(String(describing: error))") }
      proxy.thaw()
      guard case .done? = try await checkout.restockProduct(change) else { throw Unexpected("not done") }
      #expect(try await checkout.product(product.id)?.totalStock == 8)
      try await checkout.expectCleanAudit()
    }
  }

  @Test func `a read is repeated when its statement is lost`() async throws {
    try await withProxy { checkout, _, proxy in
      let product = try await checkout.newProduct(stock: 5)
      let read = try await losing(.statement, of: "read_products", on: proxy) {
        false
      } _: {
        try await checkout.product(product.id)
      }
      #expect(read?.availableStock == 5)
    }
  }

  /// No answer passes the proxy, and no connection is closed.
  @Test func `a caller gets outcomeUnknown when no answer arrives in time`() async throws {
    try await withProxy { checkout, pool, proxy in
      let product = try await checkout.newProduct(stock: 5)
      try await checkout.openTwoConnections(product, pool)
      // No answer passes before the thaw, so this error comes from the checkout itself.
      proxy.freeze()
      let error = await #expect(throws: CheckoutError.self) {
        try await checkout.hold(2, of: product, idempotencyKey: "k")
      }
      guard case .outcomeUnknown? = error else { throw Unexpected("\(String(describing: error))") }
      proxy.thaw()
      // The key leads to the hold.
      let outcome = try await checkout.reserveHold(productID: product.id, quantity: 2, idempotencyKey: "k")
      guard case .held(_, isReplay: true) = outcome else { throw Unexpected("\(outcome)") }
      #expect(try await checkout.availableStock(product) == 3)
      try await checkout.expectCleanAudit()
    }
  }
}

extension Checkout {
  /// Makes the checkout open a second connection: it reads while a restock waits for a lock. The stock stays the same.
  ///
  /// A worker may use the first one, and no connection can be opened after the freeze.
  fileprivate func openTwoConnections(_ product: Product, _ pool: Pool) async throws {
    try await pool.holding("select from products where id = \(product.id) for update") { commit in
      async let change = restockProduct(RestockProduct(productID: product.id, delta: 1, idempotencyKey: nil))
      try await pool.untilBlocked(1)
      _ = try await availableStock(product)
      try await commit()
      _ = try await change
    }
    _ = try await restockProduct(RestockProduct(productID: product.id, delta: -1, idempotencyKey: nil))
  }
}
