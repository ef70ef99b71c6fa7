import Foundation
import Postgres
import TestSupport
import Testing
import Time

@testable import Checkout

/// Recoveries and deletions of endpoints go on in steps. Each may be the last one before a crash.
@Suite struct EndpointStepTests {
  private static let start = Timestamp(microsecondsSince1970: 0)

  /// One event for each order, each of a transaction of its own. They are dispatched before the endpoint is there.
  private static func missed(_ count: Int, _ checkout: Checkout, _ pool: Pool) async throws -> EndpointID {
    try await checkout.setFeed([try #require(EventPattern(text: "order.*"))], by: .tester)
    try await DeliveryTests.orders(count, checkout)
    try await pool.run("select dispatch_events(1000)")
    return try await checkout.subscribe("order.*").id
  }

  /// Stops after one step, as a crash would.
  private static func step(
    _ id: EndpointID, since: Timestamp = EndpointStepTests.start, size: Int32 = 2, _ pool: Pool
  ) async throws -> RecoverEndpoint.Progress? {
    try await RecoverEndpoint(id: id, since: since, author: .tester, stepSize: size, timeLimit: .zero).run(on: pool)
  }

  @Test(.checkout) func `a recovery that was interrupted goes on`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(5, checkout, pool)
    var progress: [RecoverEndpoint.Progress?] = []
    for _ in 1...3 { progress.append(try await Self.step(id, pool)) }
    #expect(progress.map { $0?.pending } == [2, 4, 5])
    #expect(progress.map { $0?.isComplete } == [false, false, true])
    let claim = try await checkout.claim()
    #expect(Set(claim.deliveries.map(\.eventID)).count == 5 && claim.deliveries.count == 5)
    // The steps are one change.
    #expect(try await checkout.adminChanges().changes.count { $0.action == "webhook_endpoint.recovered" } == 1)
    try await checkout.record(claim, 200)
    #expect(try await Self.step(id, size: 100, pool) == RecoverEndpoint.Progress(pending: 0, isComplete: true))
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `a recovery takes its steps in one call`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(5, checkout, pool)
    let recovery = RecoverEndpoint(id: id, since: Self.start, author: .tester, stepSize: 1, timeLimit: .seconds(60))
    #expect(try await recovery.run(on: pool) == RecoverEndpoint.Progress(pending: 5, isComplete: true))
  }

  @Test(.checkout) func `two recoveries at once send each event once`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(6, checkout, pool)
    let recovery = RecoverEndpoint(id: id, since: Self.start, author: .tester, stepSize: 1, timeLimit: .seconds(60))
    async let first = recovery.run(on: pool)
    async let second = recovery.run(on: pool)
    let areComplete = try await [first?.isComplete, second?.isComplete]
    #expect(areComplete == [true, true])
    #expect(try await checkout.claim().deliveries.count == 6)
    try await checkout.expectCleanAudit()
  }

  /// The events that the first recovery has read are older than its start, but not older than that of the second.
  @Test(.checkout) func `a recovery since an earlier time begins anew`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(4, checkout, pool)
    let future = Timestamp(microsecondsSince1970: 32_503_680_000_000_000)  // the year 3000
    #expect(try await Self.step(id, since: future, pool) == RecoverEndpoint.Progress(pending: 0, isComplete: false))
    #expect(try await Self.step(id, size: 100, pool)?.pending == 4)
  }

  /// While the endpoint is disabled, events are dispatched that it does not get. Their transactions may have begun before the
  /// place that the recovery has reached.
  @Test(.checkout) func `a recovery of an endpoint that was disabled meanwhile begins anew`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(4, checkout, pool)
    _ = try await Self.step(id, pool)
    _ = try await checkout.enable(id, .disabled)
    try await pool.run("delete from deliveries")
    #expect(try await Self.step(id, size: 100, pool) == RecoverEndpoint.Progress(pending: 4, isComplete: true))
    #expect(try await checkout.endpoints()[0].status == .enabled)
  }

  @Test(.checkout) func `a recovery sends what waits to be dispatched`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.setFeed([try #require(EventPattern(text: "order.*"))], by: .tester)
    try await DeliveryTests.orders(3, checkout)
    let id = try await checkout.subscribe("order.*").id
    _ = try await Self.step(id, size: 1, pool)
    #expect(try await checkout.claim().deliveries.count == 3)
  }

  /// The step waits for the delivery. A claim for the other endpoint, and a new product, must not wait for the step.
  @Test(.checkout) func `claims and new products do not wait for a step of a recovery`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await Self.missed(2, checkout, pool)
    _ = try await Self.step(id, size: 100, pool)
    try await pool.run("update deliveries set status = 'failed'")
    try await pool.holding("select from deliveries for update") { commit in
      async let recovery = Self.step(id, size: 100, pool)
      try await pool.untilBlocked(1)
      _ = try await checkout.newProduct(stock: 1)
      #expect(try await checkout.claim().deliveries.isEmpty)
      try await commit()
      #expect(try await recovery?.pending == 2)
    }
  }

  @Test(.checkout) func `the deliveries of a deleted endpoint are removed in steps`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await checkout.subscribe("order.*").id
    try await DeliveryTests.orders(5, checkout)
    try await checkout.record(try await checkout.claim(1), 200)
    let deletion = DeleteEndpoint(id: id, author: .tester, stepSize: 2, timeLimit: .seconds(60))
    #expect(try await deletion.run(on: pool))
    // What was delivered stays as long as its event.
    #expect(try await pool.integer("select count(*) from deliveries") == 1)
    #expect(try await deletion.run(on: pool) == false)
    try await checkout.expectCleanAudit()
  }

  /// The first transaction was the last one before the crash.
  @Test(.checkout) func `retention removes the deliveries that a crash left`() async throws {
    let (checkout, pool) = TestCheckout.current
    try await checkout.subscribe("order.*")
    let id = try await checkout.subscribe("order.*").id
    try await DeliveryTests.orders(3, checkout)
    _ = try await checkout.claim()
    #expect(try await DeleteEndpoint(id: id, author: .tester, timeLimit: .zero).run(on: pool))
    #expect(try await pool.integer("select count(*) from deliveries") == 6)
    try await checkout.expectCleanAudit()
    try await pool.run("update scheduled_jobs set run_at = clock_timestamp() where kind = 'remove_old'")
    try await until("they are gone") { try await pool.integer("select count(*) from deliveries") == 3 }
    #expect(try await pool.integer("select count(*) from deliveries where endpoint_id = '\(id.uuid)'") == 0)
    try await checkout.expectCleanAudit()
  }

  @Test(.checkout) func `deliveries of an endpoint that is there are not removed`() async throws {
    let (checkout, pool) = TestCheckout.current
    let id = try await checkout.subscribe("order.*").id
    try await DeliveryTests.orders(1, checkout)
    _ = try await checkout.claim()
    #expect(try await pool.integer("select removed from remove_deliveries('\(id.uuid)', 10)") == 0)
    #expect(try await pool.integer("select count(*) from deliveries") == 1)
  }
}
