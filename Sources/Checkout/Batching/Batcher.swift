import Dispatch
import Postgres
import ServiceLifecycle
import Synchronization
import Time

/// Runs many requests in one round trip to the database.
///
/// Requests that arrive in a lane while its batch is under way form the next batch. There is no timer. An idle lane
/// sends a batch of one request at once. The batches of a busy lane grow by themselves. Every batch starts after
/// its requests arrived, so its reads are never older than a request.
///
/// A batch is formed and runs on the thread of its connection. So a request changes threads only twice: from the
/// caller's to the connection's and back.
///
/// If the connection breaks under a batch, the batcher does not know whether it was committed. Then it resolves the
/// batch on another connection, until the deadline:
///
///     sent ──answer──▶ outcome
///       └──lost──▶ resolve ──the batch took effect──▶ outcome
///                    │  └──it had no effect, and cannot have one──▶ first in the next batch
///                    └──deadline──▶ outcomeUnknown
///
/// If PostgreSQL refuses a batch because one request's data breaks a constraint, the batch had no effect. It is tried
/// again in halves until only that request fails.
final class Batcher<UseCase: BatchedUseCase>: Service, WaitingQueue {
  /// The largest number of requests in a batch. It limits how long a batch keeps its locks, and the size of its
  /// parameters.
  static var maximumBatchSize: Int { 512 }

  /// The longest wait for the answer to a batch. It is longer than `lockTimeout`, so a wait for a lock ends first.
  static var answerTime: Duration { .milliseconds(2500) }
  /// The time from the start of a batch to its deadline. Then callers get an error if the outcome is still unknown. With
  /// the wait in the lane, by default 1 s, it is less than 5 s. Clients and proxies often give up then.
  static var resolutionTime: Duration { .milliseconds(3800) }
  /// A caller goes into another batch only if at least this much time is left until the deadline.
  static var minimumTime: Duration { .seconds(1) }
  /// The pause between two attempts to resolve a batch.
  static var resolutionPause: Duration { .milliseconds(100) }

  private struct Caller: Sendable {
    let request: UseCase.Request
    let arrival: BatchObserver.Arrival
    let completion: Completion<UseCase.Outcome>
    /// The deadline of the caller's first batch. Nil for a caller that has not been in a batch.
    var deadline: Moment?
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
  private let onStockChange: (@Sendable (UseCase.Lane) -> Void)?
  private let state = Mutex(State())
  private let clock = DispatchQueue(label: "checkout.batcher")
  /// Ends when the batcher is closed and empty.
  private let (ending, end) = AsyncStream.makeStream(of: Never.self)

  /// - Parameters:
  ///   - turns: batches of one lane take turns with those of other batchers that share it. Nil for no turns.
  ///   - admission: limits the requests of all batchers that share it.
  ///   - onStockChange: called with a lane after the commit of a batch that changed its stock, or may have.
  init(
    _ useCase: UseCase, on database: Pool, turns: Turns<UseCase.Lane>? = nil,
    admission: Admission = Admission(limit: .max), observer: BatchObserver = .none,
    onStockChange: (@Sendable (UseCase.Lane) -> Void)? = nil
  ) {
    self.useCase = useCase
    self.database = database
    self.turns = turns
    self.admission = admission
    self.observer = observer
    self.onStockChange = onStockChange
  }

  /// Returns the outcome of a request. Throws the errors of `submit`.
  func callAsFunction(_ request: UseCase.Request) async throws -> UseCase.Outcome {
    try await awaitCompletion { submit(request, completion: $0) }
  }

  /// Adds a request to the next batch of its lane.
  ///
  /// - Parameter completion: may be called before this returns. Its errors:
  ///   - `CheckoutError.shuttingDown` after graceful shutdown began;
  ///   - `CheckoutError.overloaded` when admission refused the request, `expire` removed it, or no time is left for
  ///     another batch;
  ///   - `CheckoutError.outcomeUnknown` when the answer was lost and the outcome is unknown at the deadline;
  ///   - the translated error of the batch.
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

  /// For tests: the number of callers whose batch has not started, and whether new callers are refused.
  func waitingCount(in lane: UseCase.Lane) -> Int { state.withLock { $0.queue.waitingCount(in: lane) } }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Returns after graceful shutdown, when all accepted requests have an outcome.
  func run() async {
    await withGracefulShutdownHandler {
      for await _ in ending {}
    } onGracefulShutdown: {
      self.close()
    }
    // Callers remain only if the task was cancelled.
    close()
    let remaining = state.withLock { $0.queue.removeFirst { _ in true }.removed }
    for caller in remaining { caller.completion(.failure(CheckoutError.shuttingDown)) }
  }

  func expire(arrivedBefore cutoff: Moment) -> Moment? {
    let (expired, heads) = state.withLock { $0.queue.removeFirst { $0.arrival.time <= cutoff } }
    for caller in expired { caller.completion(.failure(CheckoutError.overloaded)) }
    return heads.map { $0.arrival.time }.min()
  }

  private func close() {
    state.withLock { state in
      state.isClosed = true
      endIfDone(&state)
    }
  }

  // MARK: Batches

  private typealias Part = BatchQueue<UseCase.Lane, Caller>.Part

  /// The part of a lane in a batch, with the arguments for the use case.
  private struct Work: Sendable {
    let part: Part
    let sent: LaneBatch<UseCase.Lane, UseCase.Request, UseCase.Mark>

    var lane: UseCase.Lane { part.lane }
  }

  private struct Batch: Sendable {
    let works: [Work]
    /// All callers get an outcome or an error by then.
    let deadline: Moment

    /// Whether it has several callers.
    var isShared: Bool { works.count > 1 || works.contains { $0.part.callers.count > 1 } }
  }

  private func takeTurn(_ lane: UseCase.Lane) {
    guard let turns else { return makeReady(lane) }
    turns.take(lane) { self.makeReady(lane) }
  }

  private func makeReady(_ lane: UseCase.Lane) {
    startWorkers(
      state.withLock { state in
        state.queue.makeReady(lane)
        return state.queue.workersToStart()
      })
  }

  private func startWorkers(_ count: Int) {
    for _ in 0..<count {
      database.lend { [self] connection in
        let batch = begin()
        do {
          return finish(batch, try execute(batch, on: connection))
        } catch  where error is OutcomeLost || (error as? PostgresError)?.isConnectionLost == true {
          return { self.resolve(batch, after: error) }
        } catch PostgresError.server(let error) where error.isAboutData && batch.isShared {
          return splitInHalves(batch)
        } catch {
          return fail(batch, error)
        }
      } failure: { [self] error in
        fail(begin(), error)()
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
    let works = batch.map { part in
      // Closures instead of key paths: in a generic type, Swift creates a key path object in each call.
      let requests = part.callers.map { $0.request }
      let mark = useCase.mark(for: requests, lane: part.lane)
      return Work(part: part, sent: LaneBatch(lane: part.lane, requests: requests, mark: mark))
    }
    // Callers of an earlier batch come first in their lane, and all of them have the same deadline.
    let earliest = batch.compactMap { $0.callers.first?.deadline }.min()
    let deadline = Moment.now + Self.resolutionTime
    return Batch(works: works, deadline: earliest.map { min($0, deadline) } ?? deadline)
  }

  private func execute(_ batch: Batch, on connection: isolated Connection) throws -> [[UseCase.Outcome?]] {
    let works = batch.works
    if works.isEmpty { return [] }
    return try observer.batch(of: works.flatMap { $0.part.callers.map { $0.arrival } }) {
      try connection.answering(by: .now + min(batch.deadline - .now, Self.answerTime)) { connection in
        guard works.count == 1 else {
          do {
            return try useCase.executeTogether(works.map { $0.sent }, on: connection)
          } catch PostgresError.server {
            // Nothing was done. Each lane now gets a batch to itself, so only the lane at fault fails.
            return works.map { $0.sent.noOutcomes() }
          }
        }
        let sent = works[0].sent
        return [try useCase.execute(sent.requests, lane: sent.lane, mark: sent.mark, on: connection)]
      }
    }
  }

  /// Calls the completions of the callers that have an outcome. Returns the others to their lanes.
  ///
  /// - Returns: a closure to call when the connection is back in the pool. It starts the next batches, which find the
  ///   connection there.
  private func finish(
    _ batch: Batch, _ outcomes: [[UseCase.Outcome?]], inHalves: Bool = false
  ) -> @Sendable () -> Void {
    precondition(outcomes.count == batch.works.count, "outcomes for each lane")
    var returned: [UseCase.Lane: [Caller]] = [:]
    for (work, outcomes) in zip(batch.works, outcomes) {
      precondition(outcomes.count == work.part.callers.count, "one outcome for each request")
      if let onStockChange, outcomes.contains(where: { $0.map { useCase.changesStock($0) } ?? false }) {
        onStockChange(work.lane)
      }
      for (caller, outcome) in zip(work.part.callers, outcomes) {
        if let outcome {
          caller.completion(.success(outcome))
        } else if batch.deadline < .now + Self.minimumTime {
          caller.completion(.failure(CheckoutError.overloaded))
        } else {
          var caller = caller
          caller.deadline = batch.deadline
          returned[work.lane, default: []].append(caller)
        }
      }
    }
    return end(batch.works, returned: returned, inHalves: inHalves)
  }

  /// PostgreSQL refused the batch because of one request's data, so the batch had no effect. Try it again in halves.
  private func splitInHalves(_ batch: Batch) -> @Sendable () -> Void {
    finish(batch, batch.works.map { $0.sent.noOutcomes() }, inHalves: true)
  }

  private func fail(_ batch: Batch, _ error: any Error) -> @Sendable () -> Void {
    let error = UseCase.translating(error)
    for work in batch.works {
      for caller in work.part.callers { caller.completion(.failure(error)) }
    }
    return end(batch.works)
  }

  /// - Parameters:
  ///   - returned: see `BatchQueue.finish`.
  ///   - inHalves: see `BatchQueue.finish`.
  /// - Returns: a closure that ends the turns and starts the next batches.
  private func end(
    _ works: [Work], returned: [UseCase.Lane: [Caller]] = [:], inHalves: Bool = false
  ) -> @Sendable () -> Void {
    let (waiting, workers) = state.withLock { state in
      defer { endIfDone(&state) }
      let lanes = state.queue.finish(works.map { $0.part }, returned: returned, inHalves: inHalves)
      return (lanes, state.queue.workersToStart())
    }
    return { [self] in
      // The lane's next turn comes after the turns that other batchers already wait for.
      for lane in waiting { takeTurn(lane) }
      for work in works { turns?.end(work.lane) }
      startWorkers(workers)
    }
  }

  private func endIfDone(_ state: inout State) {
    if state.isClosed, state.queue.isEmpty { end.finish() }
  }

  // MARK: Lost answers

  /// Resolves each lane by itself, because one lane's outcomes do not depend on another's.
  private func resolve(_ batch: Batch, after error: any Error) {
    let error = UseCase.translating(error)
    startWorkers(
      state.withLock { state in
        state.queue.separate(batch.works.map { $0.part })
        return state.queue.workersToStart()
      })
    for work in batch.works {
      let answer = Once()
      // The callers get the error at the deadline, even if an attempt is still waiting for the database.
      after(batch.deadline - .now) {
        guard answer.isFirst() else { return }
        for caller in work.part.callers { caller.completion(.failure(error)) }
      }
      resolve(Batch(works: [work], deadline: batch.deadline), answer)
    }
  }

  /// - Parameter batch: of one lane.
  private func resolve(_ batch: Batch, _ answer: Once) {
    guard .now < batch.deadline else { return end(batch.works)() }
    let sent = batch.works[0].sent
    @Sendable func again() { after(Self.resolutionPause) { self.resolve(batch, answer) } }
    database.lend { [self] connection in
      // The wait for the connection may have lasted until the deadline.
      guard .now < batch.deadline else { return end(batch.works) }
      // The batch may have changed the stock before its answer was lost.
      defer { onStockChange?(sent.lane) }
      do {
        let outcomes = try connection.answering(by: .now + (batch.deadline - .now)) {
          try useCase.resume(sent.requests, lane: sent.lane, mark: sent.mark, on: $0)
        }
        return answer.isFirst() ? finish(batch, [outcomes]) : end(batch.works)
      } catch {
        return again
      }
    } failure: { _ in
      again()
    }
  }

  private func after(_ duration: Duration, _ body: @escaping @Sendable () -> Void) {
    clock.asyncAfter(deadline: .now() + .nanoseconds(Int(duration / .nanoseconds(1))), execute: body)
  }
}

/// Decides which of several threads acts first. Only that one calls the completions.
private final class Once: Sendable {
  private let isDone = Atomic(false)

  /// True for the first call only.
  func isFirst() -> Bool { !isDone.exchange(true, ordering: .relaxed) }
}
