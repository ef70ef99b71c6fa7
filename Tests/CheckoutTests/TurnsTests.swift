import Synchronization
import TestSupport
import Testing

@testable import Checkout

@Suite struct TurnsTests {
  /// Whose turn has begun, in order.
  private final class Begun: Sendable {
    private let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0 } }
    func note(_ name: String) -> @Sendable () -> Void { { self.names.withLock { $0.append(name) } } }
  }

  @Test func oneTurnAtATimeInTheOrderOfArrival() {
    let (turns, begun) = (Turns<Int>(patience: .seconds(60)), Begun())
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
    let (turns, begun) = (Turns<Int>(patience: .milliseconds(500), memory: .seconds(60)), Begun())
    turns.take(1, begun.note("stuck"))
    let start = ContinuousClock.now
    for name in ["a", "b", "c"] { turns.take(1, begun.note(name)) }
    try await until("somebody loses patience") { begun.all == ["stuck", "a"] }
    #expect(start.duration(to: .now) >= .milliseconds(500))
    // From now on there is a turn beside the one that is stuck.
    turns.end(1)
    #expect(begun.all == ["stuck", "a", "b"])
    turns.end(1)
    turns.end(1)
    turns.end(1)
    turns.take(1, begun.note("d"))
    turns.take(1, begun.note("e"))
    #expect(begun.all == ["stuck", "a", "b", "c", "d"])
  }

  @Test func thereIsOneTurnAtATimeAgainAfterAWhile() async throws {
    let (turns, begun) = (Turns<Int>(patience: .milliseconds(200), memory: .milliseconds(1)), Begun())
    turns.take(1, begun.note("slow"))
    for name in ["a", "b"] { turns.take(1, begun.note(name)) }
    try await until("somebody loses patience") { begun.all.count > 1 }
    try await Task.sleep(for: .milliseconds(2))
    let waiting = 3 - begun.all.count
    turns.end(1)
    // Not passed on, since there was one turn too many.
    #expect(3 - begun.all.count == waiting)
    for _ in 0..<2 { turns.end(1) }
    #expect(begun.all == ["slow", "a", "b"])
  }
}
