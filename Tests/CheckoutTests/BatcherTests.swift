import ServiceLifecycle
import Synchronization
import Testing

@testable import Checkout

@Suite struct BatcherTests {
  /// Doubles numbers; each batch waits at a gate and is remembered.
  private final class Doubling: BatchedUseCase {
    struct Refused: Error {}

    let batches = Mutex<[[Int]]>([])
    let gate = Gate()

    func lane(of request: Int) -> Int { request / 1000 }

    func execute(_ requests: [Int], lane: Int) async throws -> [Int] {
      batches.withLock { $0.append(requests) }
      await gate.pass()
      if requests.contains(-1) { throw Refused() }
      return requests.map { $0 * 2 }
    }
  }

  /// Lets through as many as were admitted, and tells when somebody waits.
  private final class Gate: Sendable {
    private let arrivals = AsyncStream.makeStream(of: CheckedContinuation<Void, Never>.self)

    func pass() async {
      await withCheckedContinuation { arrivals.continuation.yield($0) }
    }

    /// Waits for the next one and lets it through.
    func admitOne() async {
      for await waiting in arrivals.stream {
        waiting.resume()
        return
      }
    }
  }

  private func running(_ batcher: Batcher<Doubling>, _ body: () async throws -> Void) async throws {
    let service = Task { await batcher.run() }
    defer { service.cancel() }
    try await body()
  }

  private func waiting(in batcher: Batcher<Doubling>, lane: Int, count: Int) async {
    while batcher.waitingCount(in: lane) < count { await Task.yield() }
  }

  @Test func whatArrivesDuringABatchSharesTheNextOneInOrder() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
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

  @Test func lanesDoNotWaitForEachOther() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
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

  @Test func aFailureReachesEveryCallerOfTheBatchAndTheLaneGoesOn() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
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

  @Test func shutdownAnswersEverybodyWhoWasAcceptedAndRefusesOthers() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
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

  @Test func aCancelledRunLeavesNobodyWaiting() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
    let caller = Task { try await batcher(1) }
    await waiting(in: batcher, lane: 0, count: 1)
    let running = Task { await batcher.run() }
    running.cancel()
    // The lane may or may not have been taken up; either way the caller hears something.
    let gate = Task { await useCase.gate.admitOne() }
    _ = try? await caller.value
    await running.value
    gate.cancel()
    await #expect(throws: CheckoutError.self) { try await batcher(2) }
  }

  @Test func whoWaitedTooLongIsRefusedWhileTheBatchUnderWayGoesOn() async throws {
    let useCase = Doubling()
    let batcher = Batcher(useCase)
    try await running(batcher) { () async throws in
      async let first = batcher(1)
      while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
      let late = [Task { try await batcher(2) }, Task { try await batcher(3) }]
      await waiting(in: batcher, lane: 0, count: 2)
      let cutoff = ContinuousClock.now
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

  @Test func sweeperEndsWaitsAtTheTimeoutAndNotBefore() async throws {
    let useCase = Doubling()
    let batchers = [Batcher(useCase), Batcher(useCase)]
    let timeout = Duration.milliseconds(50)
    let sweeper = Task { await QueueSweeper(queues: batchers, timeout: timeout).run() }
    defer { sweeper.cancel() }
    // Nobody takes up what waits here.
    for batcher in batchers {
      let start = ContinuousClock.now
      await #expect(throws: CheckoutError.overloaded) { try await batcher(1) }
      #expect(start.duration(to: .now) >= timeout)
    }
    #expect(useCase.batches.withLock { $0 } == [])
  }

  @Test func admissionCountsAllWhoWaitForAnAnswer() async throws {
    let useCase = Doubling()
    let admission = Admission(limit: 2)
    let (busy, other) = (Batcher(useCase, admission: admission), Batcher(Doubling(), admission: admission))
    try await running(busy) { () async throws in
      async let underWay = busy(1)
      while useCase.batches.withLock({ $0.isEmpty }) { await Task.yield() }
      let inQueue = Task { try await busy(2) }
      await waiting(in: busy, lane: 0, count: 1)
      for batcher in [busy, other] { await #expect(throws: CheckoutError.overloaded) { try await batcher(3) } }

      await useCase.gate.admitOne()
      #expect(try await underWay == 2)
      let next = Task { try await busy(4) }
      await waiting(in: busy, lane: 0, count: 1)
      await useCase.gate.admitOne()
      await useCase.gate.admitOne()
      #expect(try await inQueue.value == 4)
      #expect(try await next.value == 8)
    }
  }
}
