import Dispatch
import Postgres
import ServiceLifecycle
import Synchronization
import Time

/// Shares round trips to the database among those who wait for one.
///
/// What arrives in a lane while its last batch is under way makes up the next batch. There is no timer: an idle lane
/// sends a batch of one at once, a busy one batches by itself, the more the busier it is. Every batch starts after the
/// requests in it arrived, so that what it reads is never older than the question.
///
/// Batches are made up and carried out on the thread of the connection that is lent for them: between a request and its
/// outcome, threads change where they must, from the caller's to the connection's and back.
///
/// When the connection breaks under a batch, nobody can tell whether it was committed. Then the database is asked again,
/// on another connection, for as long as the callers can wait:
///
///     sent ──answer──▶ told
///       └──lost──▶ asked again ──took effect──▶ told
///                    │   └──had no effect, and cannot have any──▶ first in the next batch, in what time is left
///                    └──no time left──▶ told that nothing is known
///
/// When the server refuses a batch for what one request holds, such as a value that breaks a constraint, nothing of it was
/// done. It is tried again in halves, until the request at fault is alone and the only one that fails.
final class Batcher<UseCase: BatchedUseCase>: Service, WaitingQueue {
  /// Bounds the time for which a batch holds its locks, and the size of its parameters.
  static var maximumBatchSize: Int { 512 }

  /// The longest wait for the answer to a batch. Longer than what the database itself allows for a lock.
  static var answerTime: Duration { .milliseconds(2500) }
  /// From the start of a batch whose answer was lost to when its callers are told so. Together with the wait in the queue,
  /// a second by default, it stays below the five seconds that buyers and their proxies have.
  static var resolutionTime: Duration { .milliseconds(3800) }
  /// Who has less than this left of that time does not go into another batch.
  static var leastTime: Duration { .seconds(1) }
  /// Between two attempts to find out what became of a batch.
  static var resolutionPause: Duration { .milliseconds(100) }

  private struct Caller: Sendable {
    let request: UseCase.Request
    let arrival: BatchObserver.Arrival
    let completion: Completion<UseCase.Outcome>
    /// When an answer is due, for one who was in a batch already.
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
  /// Ends once the batcher is closed and nobody waits.
  private let (ending, end) = AsyncStream.makeStream(of: Never.self)

  /// - Parameters:
  ///   - turns: the lanes take turns with those of all batchers that share it; nil for lanes that wait for nobody.
  ///   - admission: bounds the callers of all batchers that share it.
  ///   - onStockChange: called for a lane after the commit of a batch that changed its stock, or that may have.
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

  /// Waits for the outcome of the batch that takes up the request; see `submit`.
  func callAsFunction(_ request: UseCase.Request) async throws -> UseCase.Outcome {
    try await awaitCompletion { submit(request, completion: $0) }
  }

  /// Has a request carried out by the next batch.
  ///
  /// - Parameter completion: may be called before this returns. Gets what `execute` throws for the whole batch;
  ///   `CheckoutError.shuttingDown` after `run` was told to end; `CheckoutError.overloaded` when admission is refused, the
  ///   wait is ended by `expire`, or there is no time left for another batch; `CheckoutError.outcomeUnknown` when the answer
  ///   to its batch was lost for good.
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

  // MARK: Working the lanes

  private typealias Part = BatchQueue<UseCase.Lane, Caller>.Part

  /// A lane's part in a batch, and what is sent of it.
  private struct Work: Sendable {
    let part: Part
    let sent: LaneBatch<UseCase.Lane, UseCase.Request, UseCase.Mark>

    var lane: UseCase.Lane { part.lane }
  }

  private struct Batch: Sendable {
    let works: [Work]
    /// When all callers are to have an answer.
    let deadline: Moment

    /// Whether it has several callers.
    var isShared: Bool { works.count > 1 || works.contains { $0.part.callers.count > 1 } }
  }

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
        do {
          return finish(batch, try execute(batch, on: connection))
        } catch  where error is OutcomeLost || (error as? PostgresError)?.isConnectionLost == true {
          return { self.resolve(batch, after: error) }
        } catch PostgresError.server(let error) where error.isAboutData && batch.isShared {
          return tryInHalves(batch)
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
      // No key paths in this class: where a type is generic, each is made anew at run time.
      let requests = part.callers.map { $0.request }
      let mark = useCase.mark(for: requests, lane: part.lane)
      return Work(part: part, sent: LaneBatch(lane: part.lane, requests: requests, mark: mark))
    }
    // Those who were in a batch before come first in their lane, and all have the same deadline.
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
            // Nothing was done. One by one, only those hear of it who are the cause.
            return works.map { $0.sent.nothingDone() }
          }
        }
        let sent = works[0].sent
        return [try useCase.execute(sent.requests, lane: sent.lane, mark: sent.mark, on: connection)]
      }
    }
  }

  /// Tells the callers.
  ///
  /// - Returns: what is to be done once the connection is back in the pool, where the next batch will find it.
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
        } else if batch.deadline < .now + Self.leastTime {
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

  /// The server refused the batch, which so had no effect, for what one of its requests holds. Only that one is to fail.
  private func tryInHalves(_ batch: Batch) -> @Sendable () -> Void {
    finish(batch, batch.works.map { $0.sent.nothingDone() }, inHalves: true)
  }

  private func fail(_ batch: Batch, _ error: any Error) -> @Sendable () -> Void {
    let error = UseCase.translating(error)
    for work in batch.works {
      for caller in work.part.callers { caller.completion(.failure(error)) }
    }
    return end(batch.works)
  }

  /// - Parameters:
  ///   - returned: callers without an answer, who are the first in the next batch of their lane.
  ///   - inHalves: see `BatchQueue.finish`.
  /// - Returns: what lets others begin.
  private func end(
    _ works: [Work], returned: [UseCase.Lane: [Caller]] = [:], inHalves: Bool = false
  ) -> @Sendable () -> Void {
    let (waiting, workers) = state.withLock { state in
      defer { endIfDone(&state) }
      let lanes = state.queue.finish(works.map { $0.part }, returned: returned, inHalves: inHalves)
      return (lanes, state.queue.workersToStart())
    }
    return { [self] in
      // Those who came meanwhile stand behind the lanes of others that share the turns.
      for lane in waiting { takeTurn(lane) }
      for work in works { turns?.end(work.lane) }
      startWorkers(workers)
    }
  }

  private func endIfDone(_ state: inout State) {
    if state.isClosed, state.queue.isEmpty { end.finish() }
  }

  // MARK: Lost answers

  /// Each lane on its own, since what became of one says nothing of the others when it has to be asked for.
  private func resolve(_ batch: Batch, after error: any Error) {
    let error = UseCase.translating(error)
    startWorkers(
      state.withLock { state in
        state.queue.separate(batch.works.map { $0.part })
        return state.queue.workersToStart()
      })
    for work in batch.works {
      let answer = Once()
      // Whatever the attempts are waiting for by then.
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
      // Nobody waits any more, perhaps since it took long to get a connection.
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

/// Lets one of several who would do the same do it.
private final class Once: Sendable {
  private let isDone = Atomic(false)

  func isFirst() -> Bool { !isDone.exchange(true, ordering: .relaxed) }
}
