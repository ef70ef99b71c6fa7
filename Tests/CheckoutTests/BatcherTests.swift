import Dispatch
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct BatcherTests {
  /// Doubles numbers. Each batch is recorded, and then waits at a gate.
  private final class Doubling: RepeatableUseCase {
    typealias Outcome = Int

    struct Refused: Error {}

    let batches = Mutex<[[Int]]>([])
    let gate = Gate()

    func lane(of request: Int) -> Int { request / 1000 }

    func execute(_ requests: [Int], lane: Int, on connection: isolated Connection) throws -> [Int] {
      batches.withLock { $0.append(requests) }
      gate.pass()
      if requests.contains(-1) { throw Refused() }
      return requests.map { $0 * 2 }
    }
  }

  /// Blocks batches until they are admitted.
  private final class Gate: Sendable {
    private let arrivals = AsyncStream.makeStream(of: DispatchSemaphore.self)
    /// The batches whose arrival was awaited, and that are not admitted yet.
    private let arrived = Mutex<[DispatchSemaphore]>([])

    /// Blocks the thread of the connection.
    func pass() {
      let semaphore = DispatchSemaphore(value: 0)
      arrivals.continuation.yield(semaphore)
      semaphore.wait()
    }

    /// Waits until another batch has arrived. It is recorded by then.
    func arrival() async {
      for await batch in arrivals.stream {
        arrived.withLock { $0.append(batch) }
        return
      }
    }

    /// Admits the batch that arrived first. Waits for one when there is none.
    func admitOne() async {
      if arrived.withLock({ $0.isEmpty }) { await arrival() }
      let first = arrived.withLock { batches -> DispatchSemaphore? in batches.isEmpty ? nil : batches.removeFirst() }
      first?.signal()
    }
  }

  private func withDatabase(_ body: @Sendable @escaping (Pool) async throws -> Void) async throws {
    try await TestDatabases.withEmptyDatabase { url in
      let pool = Pool(ConnectionConfiguration(url: url), size: 4)
      do {
        try await body(pool)
        await pool.close()
      } catch {
        await pool.close()
        throw error
      }
    }
  }

  private func running<UseCase: BatchedUseCase>(
    _ batcher: Batcher<UseCase>, _ body: () async throws -> Void
  ) async throws {
    let service = Task { await batcher.run() }
    defer { service.cancel() }
    try await body()
  }

  private func waiting(in batcher: Batcher<Doubling>, lane: Int, count: Int) async throws {
    try await until("the callers wait") { batcher.waitingCount(in: lane) >= count }
  }

  @Test func `requests that arrive during a batch share the next one, in order`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        await useCase.gate.arrival()
        var callers: [Task<Int, any Error>] = []
        for number in 2...50 {
          callers.append(Task { try await batcher(number) })
          try await waiting(in: batcher, lane: 0, count: number - 1)
        }
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        await useCase.gate.admitOne()
        for (number, caller) in zip(2...50, callers) { #expect(try await caller.value == number * 2) }
        #expect(useCase.batches.withLock { $0 } == [[1], Array(2...50)])
      }
    }
  }

  @Test func `lanes do not wait for each other`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        async let other = batcher(1001)
        for _ in 1...2 { await useCase.gate.arrival() }
        await useCase.gate.admitOne()
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        #expect(try await other == 2002)
      }
    }
  }

  @Test func `a failure reaches every caller of the batch, and the lane continues`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        await useCase.gate.arrival()
        let failing = [Task { try await batcher(-1) }, Task { try await batcher(2) }]
        try await waiting(in: batcher, lane: 0, count: 2)
        await useCase.gate.admitOne()
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        for task in failing {
          await #expect(throws: Doubling.Refused.self) { try await task.value }
        }
        async let next = batcher(3)
        await useCase.gate.admitOne()
        #expect(try await next == 6)
      }
    }
  }

  @Test func `shutdown serves the accepted callers and refuses new ones`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      let group = ServiceGroup(configuration: .init(services: [.init(service: batcher)], logger: .init(label: "test")))
      let running = Task { try await group.run() }
      async let first = batcher(1)
      await useCase.gate.arrival()
      async let second = batcher(2)
      try await waiting(in: batcher, lane: 0, count: 1)
      await group.triggerGracefulShutdown()
      try await until("the batcher is closed") { batcher.isClosed }
      await #expect(throws: CheckoutError.shuttingDown) { try await batcher(3) }
      await useCase.gate.admitOne()
      await useCase.gate.admitOne()
      #expect(try await first == 2)
      #expect(try await second == 4)
      try await running.value
    }
  }

  @Test func `cancelling run refuses the waiting callers`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      let running = Task { await batcher.run() }
      async let underWay = batcher(1)
      await useCase.gate.arrival()
      let inQueue = Task { try await batcher(2) }
      try await waiting(in: batcher, lane: 0, count: 1)
      running.cancel()
      await running.value
      await #expect(throws: CheckoutError.shuttingDown) { try await inQueue.value }
      await #expect(throws: CheckoutError.shuttingDown) { try await batcher(3) }
      await useCase.gate.admitOne()
      #expect(try await underWay == 2)
    }
  }

  @Test func `every caller gets databaseAway when there is no database`() async throws {
    let nowhere = Pool(ConnectionConfiguration(url: "host=127.0.0.1 port=1"), size: 2)
    let batcher = Batcher(Doubling(), on: nowhere)
    try await running(batcher) {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<2000 {
          group.addTask {
            let error = await #expect(throws: CheckoutError.self) { try await batcher(number * 500) }
            guard case .databaseAway? = error else { throw Unexpected("\(String(describing: error))") }
          }
        }
        try await group.waitForAll()
      }
    }
    await nowhere.close()
  }

  @Test func `cancelling one caller does not affect the others`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        // All four connections are busy, so the next caller waits for one.
        var callers = (1...5).map { lane in Task { try await batcher(lane * 1000) } }
        try await until("a caller waits for a connection") { database.usage.waiting > 0 }
        callers.append(
          Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await batcher(6000)
          })
        try await until("the callers wait") { batcher.waitingCount(in: 6) > 0 }
        let gatekeeper = Task { for _ in 1...6 { await useCase.gate.admitOne() } }
        defer { gatekeeper.cancel() }
        for (lane, caller) in zip(1..., callers) { #expect(try await caller.value == lane * 2000) }
      }
    }
  }

  @Test func `a caller that waited too long is refused, and the running batch continues`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        await useCase.gate.arrival()
        let late = [Task { try await batcher(2) }, Task { try await batcher(3) }]
        try await waiting(in: batcher, lane: 0, count: 2)
        let cutoff = Moment.now
        let punctual = Task { try await batcher(4) }
        try await waiting(in: batcher, lane: 0, count: 3)

        let oldest = try #require(batcher.expire(arrivedBefore: cutoff))
        #expect(oldest > cutoff)
        for task in late { await #expect(throws: CheckoutError.overloaded) { try await task.value } }
        await useCase.gate.admitOne()
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        #expect(try await punctual.value == 8)
        #expect(useCase.batches.withLock { $0 } == [[1], [4]])
        #expect(batcher.expire(arrivedBefore: .now) == nil)
      }
    }
  }

  @Test func `the sweeper ends waits at the timeout, not before`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batchers = [Batcher(useCase, on: database), Batcher(useCase, on: database)]
      let timeout = Duration.milliseconds(50)
      for batcher in batchers {
        async let underWay = batcher(1)
        await useCase.gate.arrival()
        let sweeper = Task { await QueueSweeper(queues: batchers, timeout: timeout).run() }
        defer { sweeper.cancel() }
        let start = Moment.now
        await #expect(throws: CheckoutError.overloaded) { try await batcher(2) }
        #expect(start.duration(to: .now) >= timeout)
        await useCase.gate.admitOne()
        #expect(try await underWay == 2)
        #expect(useCase.batches.withLock { batches in (batches, batches = []).0 } == [[1]])
      }
    }
  }

  @Test func `admission counts all callers of the batchers that share it`() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let admission = Admission(limit: 2)
      let (busy, other) = (
        Batcher(useCase, on: database, admission: admission), Batcher(Doubling(), on: database, admission: admission)
      )
      try await running(busy) { () async throws in
        async let underWay = busy(1)
        await useCase.gate.arrival()
        let inQueue = Task { try await busy(2) }
        try await waiting(in: busy, lane: 0, count: 1)
        for batcher in [busy, other] { await #expect(throws: CheckoutError.overloaded) { try await batcher(3) } }

        await useCase.gate.admitOne()
        #expect(try await underWay == 2)
        await useCase.gate.arrival()
        let next = Task { try await busy(4) }
        try await waiting(in: busy, lane: 0, count: 1)
        await useCase.gate.admitOne()
        await useCase.gate.admitOne()
        #expect(try await inQueue.value == 4)
        #expect(try await next.value == 8)
      }
    }
  }

  // MARK: Several lanes in a batch

  private struct Failing: PreparedStatement {
    static let name = "failing"
    static let sql = "select 1 / 0"
    func bind(to parameters: inout Parameters) {}
    static func decode(_ row: inout Row) throws {}
  }

  /// The first batch returns no outcomes, and takes so long that no time is left for a second one.
  private final class Late: BatchedUseCase {
    let hasBegun = Atomic(false)

    func lane(of request: Int) -> Int { 0 }

    func execute(_ requests: [Int], lane: Int, mark: Void, on connection: isolated Connection) throws -> [Int?] {
      if hasBegun.exchange(true, ordering: .relaxed) { return requests }
      let time = Batcher<Late>.resolutionTime - .milliseconds(900)
      _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(Int(time / .milliseconds(1))))
      return requests.map { _ in nil }
    }

    func resume(_ requests: [Int], lane: Int, mark: Void, on connection: isolated Connection) throws -> [Int?] {
      requests
    }
  }

  @Test func `a caller without time for another batch gets overloaded`() async throws {
    try await withDatabase { database async throws in
      let batcher = Batcher(Late(), on: database)
      try await running(batcher) { () async throws in
        await #expect(throws: CheckoutError.overloaded) { try await batcher(1) }
        #expect(try await batcher(1) == 1)
      }
    }
  }

  /// Doubles the numbers of several lanes at once, except in lanes with an odd number. The database refuses 9999.
  private final class Combining: RepeatableUseCase {
    typealias Outcome = Int

    static let maximumLanes = 10

    let batches = Mutex<[[[Int]]]>([])
    let gate = Gate()

    func lane(of request: Int) -> Int { request / 1000 }

    func execute(_ requests: [Int], lane: Int, on connection: isolated Connection) throws -> [Int] {
      batches.withLock { $0.append([requests]) }
      gate.pass()
      return requests.map { $0 * 2 }
    }

    func executeTogether(
      _ batches: [LaneBatch<Int, Int, Void>], on connection: isolated Connection
    ) throws -> [[Int?]] {
      self.batches.withLock { $0.append(batches.map(\.requests)) }
      gate.pass()
      if batches.contains(where: { $0.requests.contains(9999) }) { _ = try connection.run(Failing()) }
      return batches.map { $0.lane.isMultiple(of: 2) ? $0.requests.map { $0 * 2 } : $0.noOutcomes() }
    }
  }

  /// Occupies four connections with one lane each. Later requests gather for the first connection that is free.
  private func gathering(
    _ numbers: [Int], in batcher: Batcher<Combining>, _ useCase: Combining, on database: Pool
  ) async throws -> [Task<Int, any Error>] {
    var callers: [Task<Int, any Error>] = []
    for count in 1...4 {
      callers.append(Task { try await batcher(count * 1000) })
      await useCase.gate.arrival()
    }
    let lanes = Set(numbers.map { $0 / 1000 })
    for number in numbers {
      callers.append(Task { try await batcher(number) })
      try await until("the callers wait") {
        lanes.map({ batcher.waitingCount(in: $0) }).reduce(0, +) >= callers.count - 4
      }
    }
    try await until("a caller waits for a connection") { database.usage.waiting > 0 }
    return callers
  }

  @Test func `ready lanes share a batch, and a lane that cannot has its own`() async throws {
    try await withDatabase { database async throws in
      let useCase = Combining()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        let callers = try await gathering([5000, 6000, 6001, 5001, 8000], in: batcher, useCase, on: database)
        for _ in 1...6 { await useCase.gate.admitOne() }
        let answers = [2000, 4000, 6000, 8000, 10000, 12000, 12002, 10002, 16000]
        for (caller, answer) in zip(callers, answers) { #expect(try await caller.value == answer) }
        #expect(
          useCase.batches.withLock { $0.dropFirst(4) } == [[[5000, 5001], [6000, 6001], [8000]], [[5000, 5001]]])
      }
    }
  }

  @Test func `lanes run alone after the database has refused their shared batch`() async throws {
    try await withDatabase { database async throws in
      let useCase = Combining()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        let callers = try await gathering([6000, 9999], in: batcher, useCase, on: database)
        let gatekeeper = Task { for _ in 1...7 { await useCase.gate.admitOne() } }
        defer { gatekeeper.cancel() }
        for (caller, answer) in zip(callers, [2000, 4000, 6000, 8000, 12000, 19998]) {
          #expect(try await caller.value == answer)
        }
      }
    }
  }
}
