import Postgres
import ServiceLifecycle
import Synchronization

/// A use case that is carried out for many callers in one round trip to the database.
protocol BatchedUseCase: Sendable {
  associatedtype Request: Sendable
  associatedtype Outcome: Sendable

  /// Two batches of one lane are never under way at once, and those in other lanes do not wait for them.
  associatedtype Lane: Hashable & Sendable
  func lane(of request: Request) -> Lane

  /// Carries out all requests of a lane, in the order in which they came.
  ///
  /// - Returns: one outcome a request, in the same order.
  /// - Throws: what every one of these callers is told; then nothing may be assumed about what took effect.
  func execute(_ requests: [Request], lane: Lane, on connection: isolated Connection) throws -> [Outcome]

  /// How many lanes `executeTogether` may be given; 1 when it is not to be called.
  static var maximumLanes: Int { get }

  /// Does what `execute` does for several lanes in one round trip, without ever waiting for what another session has
  /// locked: one lane must not hold up the others.
  ///
  /// - Returns: for each lane its outcomes; nil when nothing was done because the lane needs a batch to itself.
  func executeTogether(
    _ batches: [(lane: Lane, requests: [Request])], on connection: isolated Connection
  ) throws -> [[Outcome]?]
}

extension BatchedUseCase {
  static var maximumLanes: Int { 1 }

  func executeTogether(
    _ batches: [(lane: Lane, requests: [Request])], on connection: isolated Connection
  ) throws -> [[Outcome]?] {
    batches.map { _ in nil }
  }
}

/// Shares round trips to the database among those who wait for one.
///
/// What arrives in a lane while its last batch is under way makes up the next batch. There is no timer: an idle lane
/// sends a batch of one at once, a busy one batches by itself, the more the busier it is. Every batch starts after the
/// requests in it arrived, so that what it reads is never older than the question.
///
/// Batches are made up and carried out on the thread of the connection that is lent for them: between a request and its
/// outcome, threads change where they must, from the caller's to the connection's and back.
final class Batcher<UseCase: BatchedUseCase>: Service, WaitingQueue {
  /// Bounds the time for which a batch holds its locks, and the size of its parameters.
  static var maximumBatchSize: Int { 512 }

  private struct Caller: Sendable {
    let request: UseCase.Request
    let arrival: BatchObserver.Arrival
    let completion: Completion<UseCase.Outcome>
  }

  private struct State {
    var queue = BatchQueue<UseCase.Lane, Caller>(
      maximumLanes: UseCase.maximumLanes, maximumSize: Batcher.maximumBatchSize)
    var isClosed = false
  }

  private let useCase: UseCase
  private let database: Pool
  private let turns: Turns<UseCase.Lane>?
  private let admission: Admission
  private let observer: BatchObserver
  private let state = Mutex(State())
  /// Ends once the batcher is closed and nobody waits.
  private let (ending, end) = AsyncStream.makeStream(of: Never.self)

  /// - Parameters:
  ///   - turns: the lanes take turns with those of all batchers that share it; nil for lanes that wait for nobody.
  ///   - admission: bounds the callers of all batchers that share it.
  init(
    _ useCase: UseCase, on database: Pool, turns: Turns<UseCase.Lane>? = nil,
    admission: Admission = Admission(limit: .max), observer: BatchObserver = .none
  ) {
    self.useCase = useCase
    self.database = database
    self.turns = turns
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
    let wasIdle = state.withLock { state in state.isClosed ? nil : state.queue.append(caller, to: lane) }
    guard let wasIdle else { return caller.completion(.failure(CheckoutError.shuttingDown)) }
    if wasIdle { takeTurn(lane) }
  }

  /// Callers in a lane whose batch has not started, and whether new ones are refused: for tests.
  func waitingCount(in lane: UseCase.Lane) -> Int { state.withLock { $0.queue.waitingCount(in: lane) } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Returns after graceful shutdown, when everybody who was accepted has an answer.
  func run() async {
    await withGracefulShutdownHandler {
      for await _ in ending {}
    } onGracefulShutdown: {
      self.close()
    }
    // Only a cancelled run leaves anybody here.
    close()
    let forgotten = state.withLock { $0.queue.removeFirst { _ in true }.removed }
    for caller in forgotten { caller.completion(.failure(CheckoutError.shuttingDown)) }
  }

  func expire(arrivedBefore cutoff: ContinuousClock.Instant) -> ContinuousClock.Instant? {
    let (expired, heads) = state.withLock { $0.queue.removeFirst { $0.arrival.time <= cutoff } }
    for caller in expired { caller.completion(.failure(CheckoutError.overloaded)) }
    return heads.map(\.arrival.time).min()
  }

  private func close() {
    state.withLock { state in
      state.isClosed = true
      endIfDone(&state)
    }
  }

  // MARK: Working the lanes

  private typealias Batch = [BatchQueue<UseCase.Lane, Caller>.Part]

  private func takeTurn(_ lane: UseCase.Lane) {
    guard let turns else { return beReady(lane) }
    turns.take(lane) { self.beReady(lane) }
  }

  private func beReady(_ lane: UseCase.Lane) {
    startWorkers(
      state.withLock { state in
        state.queue.beReady(lane)
        return state.queue.workersToStart()
      })
  }

  private func startWorkers(_ count: Int) {
    for _ in 0..<count {
      database.lend { [self] connection in
        let batch = begin()
        return finish(batch, Result { try execute(batch, on: connection) })
      } failure: { [self] error in
        finish(begin(), .failure(error))()
      }
    }
  }

  private func begin() -> Batch {
    let ((batch, idle), workers) = state.withLock { state in
      defer { endIfDone(&state) }
      return (state.queue.take(), state.queue.workersToStart())
    }
    for lane in idle { turns?.end(lane) }
    startWorkers(workers)
    return batch
  }

  private func execute(_ batch: Batch, on connection: isolated Connection) throws -> [[UseCase.Outcome]?] {
    if batch.isEmpty { return [] }
    return try observer.batch(of: batch.lazy.flatMap { $0.callers.lazy.map(\.arrival) }) {
      guard batch.count == 1 else {
        do {
          return try useCase.executeTogether(batch.map { ($0.lane, $0.callers.map(\.request)) }, on: connection)
        } catch PostgresError.server {
          // Nothing was done. One by one, only those hear of it who are the cause.
          return batch.map { _ in nil }
        }
      }
      return [try useCase.execute(batch[0].callers.map(\.request), lane: batch[0].lane, on: connection)]
    }
  }

  /// Tells the callers.
  ///
  /// - Returns: what is to be done once the connection is back in the pool, where the next batch will find it.
  private func finish(_ batch: Batch, _ result: Result<[[UseCase.Outcome]?], any Error>) -> @Sendable () -> Void {
    var refused: Set<UseCase.Lane> = []
    switch result {
    case .success(let outcomes):
      precondition(outcomes.count == batch.count, "outcomes for each lane")
      for (part, outcomes) in zip(batch, outcomes) {
        guard let outcomes else {
          refused.insert(part.lane)
          continue
        }
        precondition(outcomes.count == part.callers.count, "one outcome for each request")
        for (caller, outcome) in zip(part.callers, outcomes) { caller.completion(.success(outcome)) }
      }
    case .failure(let error):
      for caller in batch.lazy.flatMap(\.callers) { caller.completion(.failure(error)) }
    }
    let (waiting, workers) = state.withLock { state in
      defer { endIfDone(&state) }
      return (state.queue.finish(batch, refused: refused), state.queue.workersToStart())
    }
    return { [self] in
      // Those who came meanwhile stand behind the lanes of others that share the turns.
      for lane in waiting { takeTurn(lane) }
      for part in batch { turns?.end(part.lane) }
      startWorkers(workers)
    }
  }

  private func endIfDone(_ state: inout State) {
    if state.isClosed, state.queue.isEmpty { end.finish() }
  }
}
