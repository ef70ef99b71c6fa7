import DequeModule
import Time

/// Who waits for a batch, and which batches may start: the state of a `Batcher`, without its threads.
///
/// A lane is idle (not present) until somebody comes. Then it waits for its turn, is ready, and under way. Whoever works off
/// the queue asks for a connection, and once there takes up what is ready then:
///
///     idle ──append──▶ waits ──beReady──▶ ready ──take──▶ under way ──finish──▶ waits, when somebody came meanwhile,
///                                                                               or else idle
///
/// A batch that the server refused for what one request holds is tried again in portions: its callers come back to the head
/// of their lane, which serves them in two halves, and halves again what is refused again. So the requests of the others are
/// carried out, and log2(n) steps lead to the one that is at fault. A portion is a batch of its own.
///
/// Where lanes are combined, only a few batches of several are under way at a time, so that what becomes ready gathers for
/// the next one. One that takes long no longer counts, so that nobody else waits for it.
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
  /// Batches of several lanes under way at a time, at most; not counting those that take longer than `patience`.
  static var maximumCombined: Int { 2 }
  static var patience: Duration { .milliseconds(100) }
  /// For how many batches a lane that could not be combined is not tried again: what stood in the way, such as that its
  /// product is sold out, is likely to last.
  static var batchesAlone: Int { 8 }

  private struct Waiting {
    var callers: [Caller] = []
    /// So many of its next batches are not combined with other lanes.
    var batchesAlone = 0
    /// The sizes of the next batches, whose callers stand at the head, the next one last; each at least 1.
    var portions: [Int] = []

    /// - Returns: the callers of the next batch, who are no longer here then.
    mutating func takePortion(atMost maximum: Int) -> [Caller] {
      let count = min(portions.popLast() ?? maximum, callers.count)
      // Nearly always all of them, who are not copied.
      if count == callers.count {
        defer { callers = [] }
        return callers
      }
      defer { callers.removeFirst(count) }
      return Array(callers.prefix(count))
    }

    /// Takes out callers at the head.
    mutating func removeFirst(_ count: Int) {
      callers.removeFirst(count)
      var left = count
      while left > 0, let portion = portions.popLast() {
        if portion > left { portions.append(portion - left) }
        left -= min(portion, left)
      }
    }
  }

  private var lanes: [Lane: Waiting] = [:]
  private var ready: Deque<Lane> = []
  /// Workers who wait for a connection.
  private var waitingWorkers = 0
  /// When the batches of several lanes began that are under way.
  private var combinedSince: [Moment] = []

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
  mutating func workersToStart(now: Moment = .now) -> Int {
    var wanted = ready.count
    if maximumLanes > 1 {
      wanted = min(wanted, Self.maximumCombined - combinedSince.count { now - $0 < Self.patience })
    }
    guard wanted > waitingWorkers else { return 0 }
    defer { waitingWorkers = wanted }
    return wanted - waitingWorkers
  }

  /// What a worker carries out next, nothing when others were faster. And the lanes whose turn is over without a batch,
  /// since everybody in them was removed.
  mutating func take(now: Moment = .now) -> (batch: [Part], idle: [Lane]) {
    waitingWorkers -= 1
    var batch: [Part] = []
    var idle: [Lane] = []
    var size = 0
    while batch.count < maximumLanes, let lane = ready.first, let waiting = lanes[lane] {
      let count = min(waiting.callers.count, maximumSize)
      let isAlone = waiting.batchesAlone > 0 || !waiting.portions.isEmpty
      guard batch.isEmpty || !isAlone && size + count <= maximumSize else { break }
      ready.removeFirst()
      if count == 0 {
        lanes[lane] = nil
        idle.append(lane)
        continue
      }
      let callers = lanes[lane]!.takePortion(atMost: maximumSize)
      lanes[lane]!.batchesAlone = max(0, waiting.batchesAlone - 1)
      batch.append(Part(lane: lane, callers: callers))
      size += count
      if isAlone { break }
    }
    if batch.count > 1 { combinedSince.append(now) }
    return (batch, idle)
  }

  /// - Parameters:
  ///   - returned: callers of the batch, by lane, for whom nothing was done: they are the first in a batch that the lane
  ///     has to itself.
  ///   - inHalves: whether those are too many for one batch, since one of them is the reason that nothing was done.
  /// - Returns: the lanes of the batch that wait to be made ready again.
  mutating func finish(_ batch: [Part], returned: [Lane: [Caller]] = [:], inHalves: Bool = false) -> [Lane] {
    separate(batch)
    return batch.compactMap { part in
      if let callers = returned[part.lane], !callers.isEmpty {
        lanes[part.lane]!.callers.insert(contentsOf: callers, at: 0)
        if inHalves, callers.count > 1 {
          lanes[part.lane]!.portions += [callers.count / 2, (callers.count + 1) / 2]
        } else if !lanes[part.lane]!.portions.isEmpty {
          lanes[part.lane]!.portions.append(callers.count)
        }
        lanes[part.lane]!.batchesAlone = Self.batchesAlone
      } else if lanes[part.lane]!.callers.isEmpty {
        lanes[part.lane] = nil
        return nil
      }
      return part.lane
    }
  }

  /// The parts of the batch are no longer under way together; each is to `finish` by itself.
  mutating func separate(_ batch: [Part]) {
    // Which of them it was does not matter: they are only counted, and one that hangs grows old either way.
    if batch.count > 1 { combinedSince.removeFirst() }
  }

  /// Takes out the callers who wait at the head of each lane for whom the condition holds.
  ///
  /// - Returns: those, and the callers who are first in their lanes then.
  mutating func removeFirst(while condition: (Caller) -> Bool) -> (removed: [Caller], heads: [Caller]) {
    var removed: [Caller] = []
    var heads: [Caller] = []
    for lane in lanes.keys {
      let count = lanes[lane]!.callers.prefix(while: condition).count
      if count > 0 {
        removed += lanes[lane]!.callers.prefix(count)
        lanes[lane]!.removeFirst(count)
      }
      if let head = lanes[lane]!.callers.first { heads.append(head) }
    }
    return (removed, heads)
  }
}
