import Testing

@testable import Postgres

@Suite struct BackoffTests {
  @Test func pausesDoubleUpToTheBoundAndAreHalfRandom() {
    var backoff = Backoff()
    for attempt in 0..<2_000 {
      let full = min(Backoff.base * (1 << min(attempt, 20)), Backoff.maximum)
      let pause = backoff.next()
      #expect(pause >= full * 0.5 && pause <= full, "attempt \(attempt)")
    }
  }

  @Test func pausesOfTwoServersDiffer() {
    var (one, other) = (Backoff(), Backoff())
    #expect((0..<20).contains { _ in one.next() != other.next() })
  }

  @Test func successStartsOver() {
    var backoff = Backoff()
    for _ in 0..<10 { _ = backoff.next() }
    backoff.reset()
    #expect(backoff.next() <= Backoff.base)
  }
}
