import Synchronization
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct TurnsTests {
  /// The names of the turns that have begun, in order.
  private final class Begun: Sendable {
    private let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0 } }
    func note(_ name: String) -> @Sendable () -> Void { { self.names.withLock { $0.append(name) } } }
  }

  @Test func `turns of one key begin one at a time, in arrival order`() {
    let (turns, begun) = (Turns<Int>(overdueAfter: .seconds(60)), Begun())
    for name in ["a", "b", "c"] { turns.take(1, begun.note(name)) }
    turns.take(2, begun.note("other"))
    #expect(begun.all == ["a", "other"])
    turns.end(1)
    #expect(begun.all == ["a", "other", "b"])
    turns.take(1, begun.note("d"))
    turns.end(1)
    turns.end(1)
    #expect(begun.all == ["a", "other", "b", "c", "d"])
    turns.end(1)
    turns.take(1, begun.note("e"))
    #expect(begun.all.last == "e")
  }

  @Test func `a turn that does not end delays the next one only briefly`() async throws {
    let (turns, begun) = (Turns<Int>(overdueAfter: .milliseconds(50)), Begun())
    turns.take(1, begun.note("stuck"))
    let start = Moment.now
    turns.take(1, begun.note("a"))
    try await until("the next turn has begun") { begun.all == ["stuck", "a"] }
    #expect(start.duration(to: .now) >= .milliseconds(50))
  }

  /// The test passes the times itself.
  @Test func `one more turn at a time runs beside a stuck turn, for a while`() {
    let overdueAfter = Duration.seconds(600)
    let extraTurnTime = Duration.seconds(60)
    let (turns, begun) = (Turns<Int>(overdueAfter: overdueAfter, extraTurnTime: extraTurnTime), Begun())
    for name in ["stuck", "a", "b", "c", "d"] { turns.take(1, begun.note(name)) }
    #expect(turns.beginOverdueTurns(now: .now))
    #expect(begun.all == ["stuck"])

    let later = Moment.now + overdueAfter
    #expect(turns.beginOverdueTurns(now: later))
    #expect(begun.all == ["stuck", "a"])
    turns.end(1, now: later)
    #expect(begun.all == ["stuck", "a", "b"])

    let muchLater = later + extraTurnTime + .milliseconds(1)
    turns.end(1, now: muchLater)
    #expect(begun.all == ["stuck", "a", "b"])
    turns.end(1, now: muchLater)
    #expect(begun.all == ["stuck", "a", "b", "c"])
    #expect(turns.beginOverdueTurns(now: muchLater))
    turns.end(1, now: muchLater)
    turns.end(1, now: muchLater)
    #expect(begun.all == ["stuck", "a", "b", "c", "d"])
    turns.take(1, begun.note("e"))
    #expect(begun.all.last == "e")
  }
}
