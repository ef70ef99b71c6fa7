import DequeModule

/// Who waits for a batch, and which batches may start: the state of a `Batcher`, without its threads.
///
/// A lane is idle (not present) until somebody comes. Then it waits for its turn, is ready, and under way. Whoever works off
/// the queue asks for a connection, and once there takes up what is ready then:
///
///     idle ──append──▶ waits ──beReady──▶ ready ──take──▶ under way ──finish──▶ waits, when somebody came meanwhile,
///                                                                               or else idle
///
/// Batches of one lane may be under way for any number of lanes. Of those that combine lanes only a few are at a time, so
/// that what becomes ready gathers for the next one.
struct BatchQueue<Lane: Hashable & Sendable, Caller: Sendable> {
  /// The callers of one lane in a batch, in the order in which they came.
  struct Part: Sendable {
    let lane: Lane
    let callers: [Caller]
  }

  /// Lanes in one batch, at most.
  let maximumLanes: Int
  /// Callers in one batch, at most.
  let maximumSize: Int
  /// Batches of several lanes under way at a time, at most.
  static var maximumCombined: Int { 2 }

  private struct Waiting {
    var callers: [Caller] = []
    /// Its next batch is not combined with other lanes.
    var isAlone = false
  }

  private var lanes: [Lane: Waiting] = [:]
  private var ready: Deque<Lane> = []
  /// Workers who wait for a connection, and batches of several lanes under way.
  private var waitingWorkers = 0
  private var combinedBatches = 0

  init(maximumLanes: Int, maximumSize: Int) {
    self.maximumLanes = maximumLanes
    self.maximumSize = maximumSize
  }

  /// Whether nobody waits and nothing is under way.
  var isEmpty: Bool { lanes.isEmpty }

  func waitingCount(in lane: Lane) -> Int { lanes[lane]?.callers.count ?? 0 }

  /// - Returns: whether the lane was idle, and now waits to be made ready.
  mutating func append(_ caller: Caller, to lane: Lane) -> Bool {
    let isIdle = lanes[lane] == nil
    lanes[lane, default: Waiting()].callers.append(caller)
    return isIdle
  }

  mutating func beReady(_ lane: Lane) {
    ready.append(lane)
  }

  /// How many more workers it takes for what is ready. Each of them is expected to `take`.
  mutating func workersToStart() -> Int {
    let wanted = maximumLanes == 1 ? ready.count : min(ready.count, Self.maximumCombined - combinedBatches)
    guard wanted > waitingWorkers else { return 0 }
    defer { waitingWorkers = wanted }
    return wanted - waitingWorkers
  }

  /// What a worker carries out next, nothing when others were faster. And the lanes whose turn is over without a batch,
  /// since everybody in them was removed.
  mutating func take() -> (batch: [Part], idle: [Lane]) {
    waitingWorkers -= 1
    var batch: [Part] = []
    var idle: [Lane] = []
    var size = 0
    while batch.count < maximumLanes, let lane = ready.first, let waiting = lanes[lane] {
      let count = min(waiting.callers.count, maximumSize)
      guard batch.isEmpty || !waiting.isAlone && size + count <= maximumSize else { break }
      ready.removeFirst()
      if count == 0 {
        lanes[lane] = nil
        idle.append(lane)
        continue
      }
      lanes[lane] = Waiting(callers: Array(waiting.callers.dropFirst(count)))
      batch.append(Part(lane: lane, callers: Array(waiting.callers.prefix(count))))
      size += count
      if waiting.isAlone { break }
    }
    if batch.count > 1 { combinedBatches += 1 }
    return (batch, idle)
  }

  /// - Parameter refused: lanes of the batch for which nothing was done: their callers are the first in a batch that the
  ///   lane has to itself.
  /// - Returns: the lanes of the batch that wait to be made ready again.
  mutating func finish(_ batch: [Part], refused: Set<Lane> = []) -> [Lane] {
    if batch.count > 1 { combinedBatches -= 1 }
    return batch.compactMap { part in
      if refused.contains(part.lane) {
        lanes[part.lane]!.callers.insert(contentsOf: part.callers, at: 0)
        lanes[part.lane]!.isAlone = true
      } else if lanes[part.lane]!.callers.isEmpty {
        lanes[part.lane] = nil
        return nil
      }
      return part.lane
    }
  }

  /// Takes out the callers who wait at the head of each lane for whom the condition holds.
  ///
  /// - Returns: those, and who is at the head of each lane then.
  mutating func removeFirst(while condition: (Caller) -> Bool) -> (removed: [Caller], heads: [Caller]) {
    var removed: [Caller] = []
    var heads: [Caller] = []
    for lane in lanes.keys {
      let count = lanes[lane]!.callers.prefix(while: condition).count
      if count > 0 {
        removed += lanes[lane]!.callers.prefix(count)
        lanes[lane]!.callers.removeFirst(count)
      }
      if let head = lanes[lane]!.callers.first { heads.append(head) }
    }
    return (removed, heads)
  }
}
