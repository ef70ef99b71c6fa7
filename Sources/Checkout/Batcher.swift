import ServiceLifecycle
import Synchronization

/// A use case that is carried out for many callers in one round trip to the database.
protocol BatchedUseCase: Sendable {
  associatedtype Request: Sendable
  associatedtype Outcome: Sendable

  /// Requests in different lanes are never in one batch and do not wait for each other.
  associatedtype Lane: Hashable & Sendable
  func lane(of request: Request) -> Lane

  /// Carries out all requests of a lane, in the order in which they came.
  ///
  /// - Returns: one outcome a request, in the same order.
  /// - Throws: what every one of these callers is told; then nothing may be assumed about what took effect.
  func execute(_ requests: [Request], lane: Lane) async throws -> [Outcome]
}

/// Shares round trips to the database among those who wait for one.
///
/// What arrives in a lane while its last batch is under way makes up the next batch. There is no timer: an idle lane
/// sends a batch of one at once, a busy one batches by itself, the more the busier it is. Every batch starts after the
/// requests in it arrived, so that what it reads is never older than the question.
final class Batcher<UseCase: BatchedUseCase>: Service, WaitingQueue {
  /// Bounds the time for which a batch holds its locks, and the size of its parameters.
  static var maximumBatchSize: Int { 512 }

  private struct Caller {
    let request: UseCase.Request
    let arrival: BatchObserver.Arrival
    let completion: Completion<UseCase.Outcome>
  }

  private struct State {
    /// The callers who wait, by lane. A lane is present, if empty, while a task works it.
    var lanes: [UseCase.Lane: [Caller]] = [:]
    var isClosed = false
  }

  private let useCase: UseCase
  private let admission: Admission
  private let observer: BatchObserver
  private let state = Mutex(State())
  private let (busyLanes, busyLanesSink) = AsyncStream.makeStream(of: UseCase.Lane.self)

  /// - Parameter admission: bounds the callers of all batchers that share it.
  init(_ useCase: UseCase, admission: Admission = Admission(limit: .max), observer: BatchObserver = .none) {
    self.useCase = useCase
    self.admission = admission
    self.observer = observer
  }

  /// Waits for the outcome of the batch that takes up the request; see `submit`.
  func callAsFunction(_ request: UseCase.Request) async throws -> UseCase.Outcome {
    try await awaitCompletion { submit(request, completion: $0) }
  }

  /// Has a request carried out by the next batch.
  ///
  /// - Parameter completion: may be called before this returns. Gets what `execute` throws for the whole batch;
  ///   `CheckoutError.shuttingDown` after `run` was told to end; `CheckoutError.overloaded` when admission is refused or
  ///   the wait is ended by `expire`.
  func submit(_ request: UseCase.Request, completion: @escaping Completion<UseCase.Outcome>) {
    guard admission.admit() else { return completion(.failure(CheckoutError.overloaded)) }
    let lane = useCase.lane(of: request)
    let caller = Caller(request: request, arrival: observer.arrival()) { [admission] outcome in
      admission.leave()
      completion(outcome)
    }
    let isClosed = state.withLock { state in
      if state.isClosed { return true }
      if state.lanes[lane] == nil {
        state.lanes[lane] = []
        busyLanesSink.yield(lane)
      }
      state.lanes[lane]!.append(caller)
      return false
    }
    if isClosed { caller.completion(.failure(CheckoutError.shuttingDown)) }
  }

  /// Callers in a lane whose batch has not started, and whether new ones are refused: for tests.
  func waitingCount(in lane: UseCase.Lane) -> Int { state.withLock { $0.lanes[lane]?.count ?? 0 } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Works the lanes until graceful shutdown, and then until everybody who was accepted has an answer.
  func run() async {
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        for await lane in busyLanes {
          group.addTask { await self.work(lane) }
        }
      }
    } onGracefulShutdown: {
      self.close()
    }
    // Only a cancelled run, which drops lanes without working them, leaves anybody here.
    close()
    let forgotten = state.withLock { state in
      defer { state.lanes = [:] }
      return state.lanes.values.joined()
    }
    for caller in forgotten { caller.completion(.failure(CheckoutError.shuttingDown)) }
  }

  func expire(arrivedBefore cutoff: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    let (expired, oldest) = state.withLock { state in
      var expired: [Caller] = []
      for lane in state.lanes.keys {
        // In the order of arrival, so the expired are in front.
        let count = state.lanes[lane]!.prefix { $0.arrival.time <= cutoff }.count
        guard count > 0 else { continue }
        expired += state.lanes[lane]!.prefix(count)
        state.lanes[lane]!.removeFirst(count)
      }
      return (expired, state.lanes.values.compactMap(\.first?.arrival.time).min())
    }
    for caller in expired { caller.completion(.failure(CheckoutError.overloaded)) }
    return oldest
  }

  /// Lanes are announced under the same lock, so every lane that was accepted has been announced before the end is.
  private func close() {
    state.withLock { state in
      state.isClosed = true
      busyLanesSink.finish()
    }
  }

  private func work(_ lane: UseCase.Lane) async {
    while let callers = takeBatch(lane) {
      do {
        let outcomes = try await observer.batch(of: callers.lazy.map(\.arrival)) {
          try await useCase.execute(callers.map(\.request), lane: lane)
        }
        precondition(outcomes.count == callers.count, "one outcome for each request")
        for (caller, outcome) in zip(callers, outcomes) { caller.completion(.success(outcome)) }
      } catch {
        for caller in callers { caller.completion(.failure(error)) }
      }
    }
  }

  /// The longest waiting callers of a lane, or nil when nobody waits, upon which the lane ends.
  private func takeBatch(_ lane: UseCase.Lane) -> [Caller]? {
    state.withLock { state in
      guard let waiting = state.lanes[lane], !waiting.isEmpty else {
        state.lanes[lane] = nil
        return nil
      }
      if waiting.count <= Self.maximumBatchSize {
        state.lanes[lane] = []
        return waiting
      }
      state.lanes[lane]!.removeFirst(Self.maximumBatchSize)
      return Array(waiting.prefix(Self.maximumBatchSize))
    }
  }
}
