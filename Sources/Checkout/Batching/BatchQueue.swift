import DequeModule
import Time

/// The callers that wait for a batch, and the lanes whose next batch may start: the state of a `Batcher`, without
/// threads.
///
/// An idle lane is not stored. A worker asks the pool for a connection. Once it has the connection, it takes the lanes
/// that are ready then:
///
///     idle ──append──▶ waits ──makeReady──▶ ready ──take──▶ under way ──finish──▶ waits, if the lane has callers
///                                                                                 idle, if it has none
///
/// If PostgreSQL refuses a batch because of one request's data, the batch is tried again in two halves. The callers
/// return to the head of their lane, and each half is a batch of its own. A half that is refused is split again. So the
/// other requests get outcomes, and log2(n) steps find the request at fault.
///
/// A combined batch has several lanes. Only `maximumCombined` of them are under way, so lanes that become ready gather
/// for the next one. A slow combined batch does not count, so that other lanes do not wait for it.
struct BatchQueue<Lane: Hashable & Sendable, Caller: Sendable> {
  /// The callers of one lane in a batch, in the order of their arrival.
  struct Part: Sendable {
    let lane: Lane
    let callers: [Caller]
  }

  /// The largest number of lanes in one batch.
  let maximumLanes: Int
  /// The largest number of callers in one batch.
  let maximumSize: Int
  /// The largest number of combined batches under way, without slow ones.
  static var maximumCombined: Int { 2 }
  /// A combined batch is slow after this time.
  static var slowAfter: Duration { .milliseconds(100) }
  /// The number of batches that a lane has to itself after it could not be combined. The reason is likely to last, for
  /// example that the product is sold out.
  static var batchesAlone: Int { 8 }

  private struct Waiting {
    var callers: [Caller] = []
    /// The number of next batches that are not combined with other lanes.
    var batchesAlone = 0
    /// The sizes of the next batches, in reverse order. Their callers are at the head of `callers`. Each is at least 1.
    var portions: [Int] = []

    /// Removes the callers of the next batch.
    ///
    /// - Returns: these callers.
    mutating func takePortion(atMost maximum: Int) -> [Caller] {
      let count = min(portions.popLast() ?? maximum, callers.count)
      // Nearly all batches take all callers. Then the array is not copied.
      if count == callers.count {
        defer { callers = [] }
        return callers
      }
      defer { callers.removeFirst(count) }
      return Array(callers.prefix(count))
    }

    /// Removes callers at the head.
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
  /// The number of workers that wait for a connection.
  private var waitingWorkers = 0
  /// The start times of the combined batches under way, oldest first.
  private var combinedSince: [Moment] = []

  init(maximumLanes: Int, maximumSize: Int) {
    self.maximumLanes = maximumLanes
    self.maximumSize = maximumSize
  }

  /// Whether no caller waits and no batch is under way.
  var isEmpty: Bool { lanes.isEmpty }

  func waitingCount(in lane: Lane) -> Int { lanes[lane]?.callers.count ?? 0 }

  /// - Returns: whether the lane was idle. Then the batcher must make it ready.
  mutating func append(_ caller: Caller, to lane: Lane) -> Bool {
    let isIdle = lanes[lane] == nil
    lanes[lane, default: Waiting()].callers.append(caller)
    return isIdle
  }

  mutating func makeReady(_ lane: Lane) {
    ready.append(lane)
  }

  /// How many more workers the ready lanes need. Each of them must `take` once.
  mutating func workersToStart(now: Moment = .now) -> Int {
    var wanted = ready.count
    if maximumLanes > 1 {
      wanted = min(wanted, Self.maximumCombined - combinedSince.count { now - $0 < Self.slowAfter })
    }
    guard wanted > waitingWorkers else { return 0 }
    defer { waitingWorkers = wanted }
    return wanted - waitingWorkers
  }

  /// Takes the next batch for a worker.
  ///
  /// - Returns: the batch, empty when other workers have taken all lanes. And the lanes that have become idle because
  ///   all their callers were removed. Their turn is over.
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

  /// Ends a batch.
  ///
  /// - Parameters:
  ///   - returned: the callers without an outcome, by lane. They come first in the lane's next batch, which is not
  ///     combined.
  ///   - inHalves: whether to split the returned callers into two batches, because one of their requests was refused.
  /// - Returns: the lanes of the batch that have callers. The batcher must make them ready again.
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

  /// Makes each part of a combined batch a batch of its own. Each must `finish` by itself.
  mutating func separate(_ batch: [Part]) {
    // This removes the oldest start time instead of the batch's own. They are only counted, and a stuck batch stays
    // slow.
    if batch.count > 1 { combinedSince.removeFirst() }
  }

  /// Removes the callers at the head of each lane for which the condition holds.
  ///
  /// - Returns: the removed callers, and the first caller that remains in each lane.
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
