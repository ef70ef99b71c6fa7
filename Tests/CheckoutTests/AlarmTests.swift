import Testing
import Time

@testable import Checkout

@Suite struct AlarmTests {
  @Test func aRingEndsANap() async {
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

  @Test func aRingBeforeTheNapIsKept() async {
    let alarm = Alarm()
    alarm.ring()
    await alarm.wait(atMost: .seconds(600))
  }

  @Test func aNapEndsByItself() async {
    let start = Moment.now
    await Alarm().wait(atMost: .milliseconds(20))
    #expect(start.duration(to: .now) >= .milliseconds(20))
  }

  @Test func cancellationEndsANap() async {
    let sleeper = Task { await Alarm().wait(atMost: .seconds(600)) }
    sleeper.cancel()
    await sleeper.value
  }
}
