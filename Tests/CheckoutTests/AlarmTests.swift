import Testing
import Time

@testable import Checkout

@Suite struct AlarmTests {
  @Test func `a ring ends a nap`() async {
    let alarm = Alarm()
    let sleeper = Task { await alarm.wait(atMost: .seconds(600)) }
    let ringer = Task {
      while !Task.isCancelled {
        alarm.ring()
        await Task.yield()
      }
    }
    await sleeper.value
    ringer.cancel()
  }

  @Test func `a ring before a nap ends that nap`() async {
    let alarm = Alarm()
    alarm.ring()
    await alarm.wait(atMost: .seconds(600))
  }

  @Test func `a nap ends after its duration`() async {
    let start = Moment.now
    await Alarm().wait(atMost: .milliseconds(20))
    #expect(start.duration(to: .now) >= .milliseconds(20))
  }

  @Test func `cancellation ends a nap`() async {
    let sleeper = Task { await Alarm().wait(atMost: .seconds(600)) }
    sleeper.cancel()
    await sleeper.value
  }
}
