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
}
