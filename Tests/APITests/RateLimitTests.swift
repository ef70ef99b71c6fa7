import Addresses
import TestSupport
import Testing
import Time

@testable import API
@testable import Checkout

@Suite struct RateLimitTests {
  private static let start = Moment.now

  private static func customer(_ id: String) -> RateLimit.Client { .customer(VerbatimText(id)) }

  @Test(arguments: [0.1, 0.5, 3, 50])
  func `a client may send ten seconds' worth at once, and then one request an interval`(perSecond: Double) throws {
    let limit = RateLimit(perSecond: perSecond)
    let client = Self.customer("ada")
    for _ in 0..<Int(perSecond * 10) { #expect(limit.take(client, at: Self.start) == nil) }
    let wait = try #require(limit.take(client, at: Self.start))
    let interval = Duration.seconds(1) / perSecond
    // The interval is rounded down to nanoseconds, once for each request of the burst.
    #expect(wait > interval - .microseconds(1) && wait <= interval, "\(wait)")
    #expect(limit.take(client, at: Self.start + wait - .nanoseconds(1)) != nil)
    #expect(limit.take(client, at: Self.start + wait) == nil)
    #expect(limit.take(client, at: Self.start + wait) != nil)
    #expect(limit.take(Self.customer("bob"), at: Self.start) == nil)
  }

  /// The requests that were admitted, and the definition of the limit: in no period does a client send more than a burst
  /// and what the rate allows during the period.
  private struct Model {
    let interval: Duration
    var admitted: [Moment] = []

    mutating func take(at now: Moment) -> Bool {
      let isAllowed = admitted.indices.allSatisfy { index in
        let count = admitted.count - index + 1
        return interval * count <= (now - admitted[index]) + RateLimit.burst
      }
      if isAllowed { admitted.append(now) }
      return isAllowed
    }
  }

  @Test(arguments: 0..<20)
  func `no period has more requests than the limit allows, and no other request is refused`(seed: UInt64) throws {
    var generator = SeededGenerator(state: seed)
    let limit = RateLimit(perSecond: 0.5)
    let clients = (0..<3).map { Self.customer("\($0)") }
    var models = clients.map { _ in Model(interval: .seconds(2)) }
    var now = Self.start
    for _ in 0..<600 {
      now = now + .milliseconds(Int.random(in: 0...1200, using: &generator))
      let index = Int.random(in: clients.indices, using: &generator)
      let wait = limit.take(clients[index], at: now)
      let isAllowed = models[index].take(at: now)
      #expect((wait == nil) == isAllowed, "\(seed)")
      // After the wait, the client is admitted.
      if let wait, Bool.random(using: &generator) {
        now = now + wait
        let isAllowed = models[index].take(at: now)
        #expect(isAllowed && limit.take(clients[index], at: now) == nil)
      }
    }
  }

  /// A table that forgets clients may admit more, never less.
  @Test(arguments: 0..<20)
  func `a full table refuses no client that a table without end admits`(seed: UInt64) {
    var generator = SeededGenerator(state: seed)
    let limit = RateLimit(perSecond: 0.5, capacity: 16)
    let clients = (0..<40).map { Self.customer("\($0)") }
    var models = clients.map { _ in Model(interval: .seconds(2)) }
    var now = Self.start
    for _ in 0..<1000 {
      now = now + .milliseconds(Int.random(in: 0...100, using: &generator))
      let index = Int.random(in: clients.indices, using: &generator)
      if limit.take(clients[index], at: now) == nil {
        models[index].admitted.append(now)
      } else {
        let isAllowed = models[index].take(at: now)
        #expect(!isAllowed, "\(seed)")
      }
    }
  }

  @Test func `newcomers do not replace a client at its limit`() {
    let limit = RateLimit(perSecond: 1, capacity: 8)
    let greedy = Self.customer("greedy")
    while limit.take(greedy, at: Self.start) == nil {}
    for number in 0..<1000 {
      #expect(limit.take(Self.customer("\(number)"), at: Self.start) == nil)
      #expect(limit.take(greedy, at: Self.start) != nil)
    }
  }

  @Test func `concurrent requests get exactly the burst`() async {
    let limit = RateLimit(perSecond: 100)
    let admitted = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask { (0..<1000).count(where: { _ in limit.take(.unknown, at: Self.start) == nil }) }
      }
      return await group.reduce(0, +)
    }
    #expect(admitted == 1000)
  }

  @Test func `a client is a customer, an IPv4 address or an IPv6 network of 64 bits`() {
    func client(_ address: String) -> RateLimit.Client { RateLimit.Client(IPAddress(address)) }
    #expect(client("2001:db8::1") == client("2001:db8:0:0:ffff::2"))
    #expect(client("2001:db8::1") != client("2001:db8:0:1::1"))
    #expect(client("192.0.2.1") == client("::ffff:192.0.2.1"))
    #expect(client("192.0.2.1") != client("192.0.2.2"))
    #expect(RateLimit.Client(nil) == .unknown)
    #expect(Self.customer("192.0.2.1") != client("192.0.2.1"))
    #expect(Self.customer("Zo\u{eb}") != Self.customer("Zoe\u{308}"))
  }
}
