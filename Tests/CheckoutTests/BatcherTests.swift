import Dispatch
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct BatcherTests {
  /// Doubles numbers; each batch waits at a gate and is remembered.
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

  /// Lets through as many as were admitted, and tells when somebody waits.
  private final class Gate: Sendable {
    private let arrivals = AsyncStream.makeStream(of: DispatchSemaphore.self)

    /// Holds up the thread, which is the connection's own.
    func pass() {
      let semaphore = DispatchSemaphore(value: 0)
      arrivals.continuation.yield(semaphore)
      semaphore.wait()
    }

    /// Waits for the next one and lets it through.
    func admitOne() async {
      for await waiting in arrivals.stream {
        waiting.signal()
        return
      }
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

  private func waiting(in batcher: Batcher<Doubling>, lane: Int, count: Int) async {
    while batcher.waitingCount(in: lane) < count { await Task.yield() }
  }

  @Test func whatArrivesDuringABatchSharesTheNextOneInOrder() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
        var callers: [Task<Int, any Error>] = []
        for number in 2...50 {
          callers.append(Task { try await batcher(number) })
          await waiting(in: batcher, lane: 0, count: number - 1)
        }
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        await useCase.gate.admitOne()
        for (number, caller) in zip(2...50, callers) { #expect(try await caller.value == number * 2) }
        #expect(useCase.batches.withLock { $0 } == [[1], Array(2...50)])
      }
    }
  }

  @Test func lanesDoNotWaitForEachOther() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        async let other = batcher(1001)
        while useCase.batches.withLock({ $0.count }) < 2 { await Task.yield() }
        await useCase.gate.admitOne()
        await useCase.gate.admitOne()
        #expect(try await first == 2)
        #expect(try await other == 2002)
      }
    }
  }

  @Test func aFailureReachesEveryCallerOfTheBatchAndTheLaneGoesOn() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
        let failing = [Task { try await batcher(-1) }, Task { try await batcher(2) }]
        await waiting(in: batcher, lane: 0, count: 2)
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

  @Test func shutdownAnswersEverybodyWhoWasAcceptedAndRefusesOthers() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      let group = ServiceGroup(configuration: .init(services: [.init(service: batcher)], logger: .init(label: "test")))
      let running = Task { try await group.run() }
      async let first = batcher(1)
      while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
      async let second = batcher(2)
      await waiting(in: batcher, lane: 0, count: 1)
      await group.triggerGracefulShutdown()
      while !batcher.isClosed { await Task.yield() }
      await #expect(throws: CheckoutError.self) { try await batcher(3) }
      await useCase.gate.admitOne()
      await useCase.gate.admitOne()
      #expect(try await first == 2)
      #expect(try await second == 4)
      try? await running.value
    }
  }

  @Test func aCancelledRunLeavesNobodyWaiting() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      let running = Task { await batcher.run() }
      async let underWay = batcher(1)
      while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
      let inQueue = Task { try await batcher(2) }
      await waiting(in: batcher, lane: 0, count: 1)
      running.cancel()
      await running.value
      await #expect(throws: CheckoutError.shuttingDown) { try await inQueue.value }
      await #expect(throws: CheckoutError.shuttingDown) { try await batcher(3) }
      await useCase.gate.admitOne()
      #expect(try await underWay == 2)
    }
  }

  @Test func everybodyHearsThatThereIsNoDatabase() async throws {
    let nowhere = Pool(ConnectionConfiguration(url: "host=127.0.0.1 port=1"), size: 2)
    let batcher = Batcher(Doubling(), on: nowhere)
    try await running(batcher) {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<2000 {
          group.addTask { await #expect(throws: CheckoutError.self) { try await batcher(number * 500) } }
        }
        try await group.waitForAll()
      }
    }
    await nowhere.close()
  }

  @Test func aCancelledCallerTakesNobodyElseAlong() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        // Each of the four connections is held up, so whoever comes next stands in line for one.
        var callers = (1...5).map { lane in Task { try await batcher(lane * 1000) } }
        while database.usage.waiting == 0 { await Task.yield() }
        callers.append(
          Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await batcher(6000)
          })
        while batcher.waitingCount(in: 6) == 0 { await Task.yield() }
        let gatekeeper = Task { for _ in 1...6 { await useCase.gate.admitOne() } }
        defer { gatekeeper.cancel() }
        for (lane, caller) in zip(1..., callers) { #expect(try await caller.value == lane * 2000) }
      }
    }
  }

  @Test func whoWaitedTooLongIsRefusedWhileTheBatchUnderWayGoesOn() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        async let first = batcher(1)
        while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
        let late = [Task { try await batcher(2) }, Task { try await batcher(3) }]
        await waiting(in: batcher, lane: 0, count: 2)
        let cutoff = Moment.now
        let punctual = Task { try await batcher(4) }
        await waiting(in: batcher, lane: 0, count: 3)

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

  @Test func sweeperEndsWaitsAtTheTimeoutAndNotBefore() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let batchers = [Batcher(useCase, on: database), Batcher(useCase, on: database)]
      let timeout = Duration.milliseconds(50)
      for batcher in batchers {
        async let underWay = batcher(1)
        while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
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

  @Test func admissionCountsAllWhoWaitForAnAnswer() async throws {
    try await withDatabase { database async throws in
      let useCase = Doubling()
      let admission = Admission(limit: 2)
      let (busy, other) = (
        Batcher(useCase, on: database, admission: admission), Batcher(Doubling(), on: database, admission: admission)
      )
      try await running(busy) { () async throws in
        async let underWay = busy(1)
        while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
        let inQueue = Task { try await busy(2) }
        await waiting(in: busy, lane: 0, count: 1)
        for batcher in [busy, other] { await #expect(throws: CheckoutError.overloaded) { try await batcher(3) } }

        await useCase.gate.admitOne()
        #expect(try await underWay == 2)
        while useCase.batches.withLock({ $0.count }) < 2 { await Task.yield() }
        let next = Task { try await busy(4) }
        await waiting(in: busy, lane: 0, count: 1)
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

  /// Does nothing the first time, for so long that there is not enough time for a second.
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

  @Test func anotherBatchDoesNotTakeMoreTime() async throws {
    try await withDatabase { database async throws in
      let batcher = Batcher(Late(), on: database)
      try await running(batcher) { () async throws in
        await #expect(throws: CheckoutError.overloaded) { try await batcher(1) }
        #expect(try await batcher(1) == 1)
      }
    }
  }

  /// Doubles the numbers of several lanes at once, but for lanes with an odd number. The database refuses 9999.
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

  /// Four connections are held up by one lane each, so that what comes then gathers for whoever is free first.
  private func gathering(
    _ numbers: [Int], in batcher: Batcher<Combining>, _ useCase: Combining, on database: Pool
  ) async -> [Task<Int, any Error>] {
    var callers: [Task<Int, any Error>] = []
    for count in 1...4 {
      callers.append(Task { try await batcher(count * 1000) })
      while useCase.batches.withLock({ $0.count }) < count { await Task.yield() }
    }
    let lanes = Set(numbers.map { $0 / 1000 })
    for number in numbers {
      callers.append(Task { try await batcher(number) })
      while lanes.map({ batcher.waitingCount(in: $0) }).reduce(0, +) < callers.count - 4 { await Task.yield() }
    }
    while database.usage.waiting == 0 { await Task.yield() }
    return callers
  }

  @Test func lanesThatAreReadyShareABatchAndOneThatCannotHasItsOwn() async throws {
    try await withDatabase { database async throws in
      let useCase = Combining()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        let callers = await gathering([5000, 6000, 6001, 5001, 8000], in: batcher, useCase, on: database)
        for _ in 1...6 { await useCase.gate.admitOne() }
        let answers = [2000, 4000, 6000, 8000, 10000, 12000, 12002, 10002, 16000]
        for (caller, answer) in zip(callers, answers) { #expect(try await caller.value == answer) }
        #expect(
          useCase.batches.withLock { $0.dropFirst(4) } == [[[5000, 5001], [6000, 6001], [8000]], [[5000, 5001]]])
      }
    }
  }

  @Test func whatTheDatabaseRefusesOfOneLaneIsTriedForTheOthers() async throws {
    try await withDatabase { database async throws in
      let useCase = Combining()
      let batcher = Batcher(useCase, on: database)
      try await running(batcher) { () async throws in
        let callers = await gathering([6000, 9999], in: batcher, useCase, on: database)
        let gatekeeper = Task { for _ in 1...7 { await useCase.gate.admitOne() } }
        defer { gatekeeper.cancel() }
        for (caller, answer) in zip(callers, [2000, 4000, 6000, 8000, 12000, 19998]) {
          #expect(try await caller.value == answer)
        }
      }
    }
  }
}
