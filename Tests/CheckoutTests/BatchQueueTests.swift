import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct BatchQueueTests {
  /// Everything that can happen, in a random order: callers come and are removed, workers start, take and finish.
  @Test(arguments: [1, 4], 0..<50)
  func everyCallerIsServedOnceInOrderAndNoLaneTwiceAtATime(maximumLanes: Int, seed: UInt64) {
    let maximumSize = 5
    let now = Moment.now
    var random = SeededGenerator(state: seed)
    var queue = BatchQueue<Int, Int>(maximumLanes: maximumLanes, maximumSize: maximumSize)
    var underWay: [[BatchQueue<Int, Int>.Part]] = []
    var workers = 0
    /// Lanes that wait for their turn, and that have it.
    var waiting: [Int] = []
    var turns: Set<Int> = []
    var served: [Int: [Int]] = [:]
    var removed: Set<Int> = []
    let callers = 400
    var next = 0

    func lane(of caller: Int) -> Int { caller % 7 }
    func finishOne() {
      let batch = underWay.remove(at: Int.random(in: underWay.indices, using: &random))
      var returned: [Int: [Int]] = [:]
      for part in batch where Int.random(in: 0..<4, using: &random) == 0 {
        // The first of them have their answers.
        returned[part.lane] = Array(part.callers.dropFirst(Int.random(in: 0..<part.callers.count, using: &random)))
      }
      if batch.count > 1, returned.isEmpty {
        queue.separate(batch)
        for part in batch { waiting += queue.finish([part]) }
      } else {
        waiting += queue.finish(batch, returned: returned, inHalves: Bool.random(using: &random))
      }
      turns.subtract(batch.map(\.lane))
      for part in batch {
        served[part.lane, default: []] += part.callers.dropLast(returned[part.lane]?.count ?? 0)
      }
    }

    while !queue.isEmpty || next < callers {
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2 where next < callers:
        if queue.append(next, to: lane(of: next)) { waiting.append(lane(of: next)) }
        next += 1
      case 3 where next < callers:
        let old = next - 20
        removed.formUnion(queue.removeFirst { $0 < old }.removed)
      case 4, 5:
        guard workers > 0 else { continue }
        workers -= 1
        let (batch, idle) = queue.take(now: now)
        turns.subtract(idle)
        guard !batch.isEmpty else { continue }
        #expect(batch.count <= maximumLanes)
        #expect(batch.count == 1 || batch.map(\.callers.count).reduce(0, +) <= maximumSize)
        #expect(batch.allSatisfy { 1...maximumSize ~= $0.callers.count })
        underWay.append(batch)
        let lanes = underWay.joined().map(\.lane)
        #expect(Set(lanes).count == lanes.count)
        #expect(turns.isSuperset(of: lanes))
        #expect(underWay.count { $0.count > 1 } <= BatchQueue<Int, Int>.maximumCombined)
      case 6 where !waiting.isEmpty:
        let lane = waiting.remove(at: Int.random(in: waiting.indices, using: &random))
        #expect(turns.insert(lane).inserted)
        queue.makeReady(lane)
      default:
        if !underWay.isEmpty { finishOne() }
      }
      // Nobody is left waiting without a worker who comes, or a batch whose end will start one.
      workers += queue.workersToStart(now: now)
      #expect(queue.isEmpty || workers > 0 || !underWay.isEmpty || !waiting.isEmpty)
    }
    for (lane, callers) in served { #expect(callers == callers.sorted(), "lane \(lane)") }
    #expect((Array(served.values.joined()) + removed).sorted() == Array(0..<callers))
  }

  @Test func aLaneToItselfIsServedFromItsHead() {
    var queue = BatchQueue<Int, String>(maximumLanes: 4, maximumSize: 3)
    func come(_ caller: String, _ lane: Int) {
      if queue.append(caller, to: lane) { queue.makeReady(lane) }
    }
    come("a", 1)
    come("b", 2)
    come("c", 1)
    #expect(queue.workersToStart() == 2)
    let together = queue.take().batch
    #expect(together.map(\.callers) == [["a", "c"], ["b"]])
    come("d", 1)
    come("e", 3)
    #expect(queue.finish(together, returned: [1: together[0].callers]) == [1])
    queue.makeReady(1)
    #expect(queue.take().batch.map(\.callers) == [["e"]])
    #expect(queue.workersToStart() == 1)
    #expect(queue.take().batch.map(\.callers) == [["a", "c", "d"]])
  }

  @Test func aLaneThatCouldNotBeCombinedIsAloneForAWhile() {
    var queue = BatchQueue<Int, String>(maximumLanes: 4, maximumSize: 3)
    func come(_ lane: Int) {
      if queue.append("somebody", to: lane) { queue.makeReady(lane) }
    }
    func takeBatch() -> [BatchQueue<Int, String>.Part] {
      _ = queue.workersToStart()
      return queue.take().batch
    }
    come(1)
    come(2)
    var returned = [1: ["somebody"]]
    for _ in 0..<BatchQueue<Int, String>.batchesAlone {
      let batch = takeBatch()
      come(1)
      for lane in queue.finish(batch, returned: returned) { queue.makeReady(lane) }
      returned = [:]
      come(2)
    }
    for _ in 0..<2 {
      let batch = takeBatch()
      #expect(batch.count == 1)
      #expect(queue.finish(batch) == [])
    }
    come(1)
    come(2)
    #expect(takeBatch().map(\.lane).sorted() == [1, 2])
  }

  @Test func nobodyWaitsForACombinedBatchThatHangs() {
    var queue = BatchQueue<Int, String>(maximumLanes: 2, maximumSize: 3)
    let start = Moment.now
    for lane in 1...6 where queue.append("somebody", to: lane) { queue.makeReady(lane) }
    #expect(queue.workersToStart(now: start) == 2)
    let hanging = [queue.take(now: start).batch, queue.take(now: start).batch]
    #expect(hanging.map(\.count) == [2, 2])
    #expect(queue.workersToStart(now: start) == 0)
    #expect(queue.workersToStart(now: start + BatchQueue<Int, String>.slowAfter) == 2)
    #expect(queue.take(now: start).batch.map(\.lane) == [5, 6])
  }

  @Test(arguments: [1, 2, 3, 64, 500, 512], [0, 0.3, 1])
  func `one caller at fault is alone after halving and the others are served in order`(count: Int, place: Double) {
    var queue = BatchQueue<Int, Int>(maximumLanes: 4, maximumSize: 512)
    let fault = Int(Double(count - 1) * place)
    for caller in 0..<count where queue.append(caller, to: 1) { queue.makeReady(1) }
    var served: [Int] = []
    var batches = 0
    while !queue.isEmpty {
      #expect(queue.workersToStart() == 1)
      let batch = queue.take().batch
      let callers = batch[0].callers
      batches += 1
      if callers.contains(fault), callers.count > 1 {
        #expect(queue.finish(batch, returned: [1: callers], inHalves: true) == [1])
        queue.makeReady(1)
      } else {
        served += callers
        #expect(callers == [fault] || !callers.contains(fault))
        for lane in queue.finish(batch) { queue.makeReady(lane) }
      }
    }
    #expect(served == Array(0..<count))
    // Each halving adds a batch beside the one that fails.
    let halvings = count == 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
    #expect(batches <= 1 + 2 * halvings)
  }

  @Test func `callers who come meanwhile or leave do not change the portions of others`() {
    var queue = BatchQueue<Int, Int>(maximumLanes: 4, maximumSize: 512)
    for caller in 0..<8 where queue.append(caller, to: 1) { queue.makeReady(1) }
    func take() -> [BatchQueue<Int, Int>.Part] {
      _ = queue.workersToStart()
      return queue.take().batch
    }
    func goOn(_ lanes: [Int]) { for lane in lanes { queue.makeReady(lane) } }
    let whole = take()
    let isFirst = queue.append(8, to: 1)
    #expect(!isFirst)
    goOn(queue.finish(whole, returned: [1: whole[0].callers], inHalves: true))
    // Of the second half, the first is needed by nobody any more.
    let first = take()
    #expect(first[0].callers == [0, 1, 2, 3])
    let removed = queue.removeFirst { $0 == 4 }.removed
    #expect(removed == [4])
    // A caller of a half may come back without an answer, too.
    goOn(queue.finish(first, returned: [1: [2, 3]]))
    let again = take()
    #expect(again[0].callers == [2, 3])
    goOn(queue.finish(again))
    let second = take()
    #expect(second[0].callers == [5, 6, 7])
    goOn(queue.finish(second))
    let rest = take()
    #expect(rest[0].callers == [8])
    #expect(queue.finish(rest) == [])
    #expect(queue.isEmpty)
  }
}
