import Synchronization
import TestSupport
import Testing
import Time

@testable import Checkout

@Suite struct TurnsTests {
  /// Whose turn has begun, in order.
  private final class Begun: Sendable {
    private let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0 } }
    func note(_ name: String) -> @Sendable () -> Void { { self.names.withLock { $0.append(name) } } }
  }

  @Test func oneTurnAtATimeInTheOrderOfArrival() {
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

  @Test func nobodyWaitsForATurnThatDoesNotEnd() async throws {
    let (turns, begun) = (Turns<Int>(overdueAfter: .milliseconds(50)), Begun())
    turns.take(1, begun.note("stuck"))
    let start = Moment.now
    turns.take(1, begun.note("a"))
    try await until("it has lost patience") { begun.all == ["stuck", "a"] }
    #expect(start.duration(to: .now) >= .milliseconds(50))
  }

  /// By a clock of its own.
  @Test func besideATurnThatIsStuckThereIsOneMoreForAWhile() {
    let patience = Duration.seconds(600)
    let memory = Duration.seconds(60)
    let (turns, begun) = (Turns<Int>(overdueAfter: patience, extraTurnTime: memory), Begun())
    for name in ["stuck", "a", "b", "c", "d"] { turns.take(1, begun.note(name)) }
    #expect(turns.beginOverdueTurns(now: .now))
    #expect(begun.all == ["stuck"])

    let later = Moment.now + patience
    #expect(turns.beginOverdueTurns(now: later))
    #expect(begun.all == ["stuck", "a"])
    turns.end(1, now: later)
    #expect(begun.all == ["stuck", "a", "b"])

    let muchLater = later + memory + .milliseconds(1)
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
