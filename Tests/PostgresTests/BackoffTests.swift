import Testing

@testable import Postgres

@Suite struct BackoffTests {
  @Test func `pauses double up to the maximum and are half random`() {
    var backoff = Backoff()
    for attempt in 0..<2_000 {
      let full = min(Backoff.base * (1 << min(attempt, 20)), Backoff.maximum)
      let pause = backoff.next()
      #expect(pause >= full * 0.5 && pause <= full, "attempt \(attempt)")
    }
  }

  @Test func `pauses of two servers differ`() {
    var (one, other) = (Backoff(), Backoff())
    #expect((0..<20).contains { _ in one.next() != other.next() })
  }

  @Test func `a reset starts again with the base pause`() {
    var backoff = Backoff()
    for _ in 0..<10 { _ = backoff.next() }
    backoff.reset()
    #expect(backoff.next() <= Backoff.base)
  }
}
