import Testing
import Time

@testable import API
@testable import Checkout

/// The figures of a tick that this server computes.
@Suite struct TicksFiguresTests {
  // MARK: Latency

  @Test func `a quantile is at most 4 % off`() throws {
    for exponent in 4..<27 {
      for step in 0..<50 {
        let microseconds = Double(1 << exponent) * (1 + Double(step) / 50)
        var counts = [Int64](repeating: 0, count: LatencyBuckets.count)
        counts[LatencyBuckets.index(ofNanoseconds: Int64(microseconds * 1000))] = 3
        let found = try #require(LatencyBuckets.milliseconds(0.5, of: counts))
        #expect(abs(found * 1000 / microseconds - 1) < 0.04, "\(microseconds) \(found)")
      }
    }
  }

  @Test func `buckets are in order, and take every duration`() {
    var last = 0
    for microseconds in 0..<100_000 {
      let index = LatencyBuckets.index(ofNanoseconds: Int64(microseconds) * 1000)
      #expect(index == last || index == last + 1)
      last = index
    }
    #expect(LatencyBuckets.index(ofNanoseconds: .max) == LatencyBuckets.count - 1)
    #expect(LatencyBuckets.index(ofNanoseconds: -1) == 0)
  }

  @Test func `a quantile is that of the ordered values`() throws {
    var counts = [Int64](repeating: 0, count: LatencyBuckets.count)
    #expect(LatencyBuckets.milliseconds(0.5, of: counts) == nil)
    for _ in 0..<98 { counts[LatencyBuckets.index(ofNanoseconds: 2_000_000)] += 1 }
    for _ in 0..<2 { counts[LatencyBuckets.index(ofNanoseconds: 80_000_000)] += 1 }
    #expect(abs(try #require(LatencyBuckets.milliseconds(0.5, of: counts)) - 2) < 0.1)
    #expect(abs(try #require(LatencyBuckets.milliseconds(0.98, of: counts)) - 2) < 0.1)
    #expect(abs(try #require(LatencyBuckets.milliseconds(0.99, of: counts)) - 80) < 3)
  }

  // MARK: Requests and refusals

  @Test func `responses count only while somebody watches`() {
    let figures = LiveFigures()
    figures.record(.overloaded, since: .now)
    #expect(figures.read().responses == 0)
    figures.isCounting = true
    figures.record(nil, since: .now)
    figures.record(.overloaded, since: .now)
    #expect(figures.read().responses == 2 && figures.read().refusals[.overloaded] == 1)
  }

  @Test func `rates are those of the last second, and quantiles those of ten`() throws {
    let begin = Moment.now
    var latencies = [Int64](repeating: 0, count: LatencyBuckets.count)
    var refusals: [Problem.Kind: Int64] = [.overloaded: 5, .notFound: 7]
    func reading(_ second: Int) -> LiveFigures.Reading {
      LiveFigures.Reading(time: begin + .seconds(second), latencies: latencies, refusals: refusals)
    }
    var window = TicksServer.Window()
    let first = window.add(reading(0))
    #expect(first.requestsPerSecond == 0 && first.p50 == nil && first.refusalsPerSecond.isEmpty)

    latencies[10] += 200
    refusals[.overloaded]! += 50
    let second = window.add(reading(1))
    #expect(second.requestsPerSecond == 200 && second.p50 == 0.0105)
    #expect(second.refusalsPerSecond.map(\.name) == ["overloaded"] && second.refusalsPerSecond[0].value == 50)

    // A kind stays for ten seconds. Its rate is that of the last second.
    for number in 2...10 {
      let figures = window.add(reading(number))
      #expect(figures.requestsPerSecond == 0 && figures.p99 == 0.0105, "\(number)")
      #expect(figures.refusalsPerSecond.map(\.value) == [0])
    }
    let last = window.add(reading(11))
    #expect(last.p50 == nil && last.refusalsPerSecond.isEmpty)
  }

  // MARK: Database

  private static func time(_ seconds: Double) -> Timestamp {
    Timestamp(microsecondsSince1970: Int64(seconds * 1_000_000))
  }

  private static func shop(at seconds: Double, _ products: [Product] = []) -> Shop {
    Shop(
      asOf: time(seconds), jobLateness: .zero,
      moneyWaiting: Shop.MoneyWaiting(refundDue: 0, amountMismatch: 0, parked: 0, events: []),
      endpoints: [],
      products: products.map {
        Shop.ProductFigures(
          product: $0, heldStock: 0, unpaidStock: 0, paidStock: 0, holds: 0, orders: 0, payments: 0)
      },
      moreProducts: 0)
  }

  @Test func `the database is away from the first failure, and keeps the last shop`() {
    var database = TicksDatabase()
    database.note(.read(Self.shop(at: 1)), at: Self.time(1))
    #expect(database.isReachable && database.since == Self.time(1))
    database.note(.read(Self.shop(at: 2)), at: Self.time(2))
    #expect(database.since == Self.time(1))
    database.note(.away(reason: "Gone."), at: Self.time(3))
    database.note(.away(reason: "Still gone."), at: Self.time(4))
    #expect(!database.isReachable && database.since == Self.time(3) && database.reason == "Still gone.")
    #expect(database.shop?.asOf == Self.time(2))
    database.note(.read(Self.shop(at: 5)), at: Self.time(5))
    #expect(database.isReachable && database.since == Self.time(5) && database.reason == nil)
  }

  @Test func `one late read is tolerated, and a second one is not`() {
    var database = TicksDatabase()
    database.note(.read(Self.shop(at: 1)), at: Self.time(1))
    database.note(.late, at: Self.time(2))
    #expect(database.isReachable)
    database.note(.late, at: Self.time(3))
    #expect(!database.isReachable && database.since == Self.time(3) && database.reason == Shop.Reading.noAnswer)
    // Before the first answer, nothing says that the database is there.
    var unknown = TicksDatabase()
    unknown.note(.late, at: Self.time(1))
    #expect(!unknown.isReachable && unknown.shop == nil)
  }

  // MARK: Forecast

  private static func product(_ available: Int32, of total: Int32 = 100, _ status: Product.Status = .onSale) -> Product
  {
    Product(
      id: 1, name: "Cap", price: 1, currency: "USD", totalStock: total, availableStock: available, status: status,
      startsAt: nil, endsAt: nil, maximumQuantityPerHold: nil, maximumPerCustomer: nil)
  }

  @Test func `a product is sold out after its stock at the rate of ten seconds`() {
    var forecast = TicksForecast()
    forecast.note(Self.shop(at: 0, [Self.product(100)]))
    #expect(forecast.secondsLeft.isEmpty)
    forecast.note(Self.shop(at: 1, [Self.product(90)]))
    #expect(forecast.secondsLeft == [1: 9])
    for second in 2...10 { forecast.note(Self.shop(at: Double(second), [Self.product(90)])) }
    #expect(forecast.secondsLeft == [1: 90])
    // The first second is no longer among the last ten.
    forecast.note(Self.shop(at: 11, [Self.product(90)]))
    #expect(forecast.secondsLeft.isEmpty)
  }

  @Test func `more stock is no slower sale, and a product that does not sell has no forecast`() {
    var forecast = TicksForecast()
    forecast.note(Self.shop(at: 0, [Self.product(100)]))
    forecast.note(Self.shop(at: 2, [Self.product(190, of: 200)]))
    #expect(forecast.secondsLeft == [1: 38])
    for status in [Product.Status.paused, .ended, .soldOut, .reservedOut] {
      forecast.note(Self.shop(at: 3, [Self.product(10, of: 200, status)]))
      #expect(forecast.secondsLeft.isEmpty)
    }
    // Units came back.
    forecast.note(Self.shop(at: 4, [Self.product(200, of: 200)]))
    #expect(forecast.secondsLeft.isEmpty)
    // Nothing is known of the time between.
    forecast.note(Self.shop(at: 60, [Self.product(20, of: 200)]))
    #expect(forecast.secondsLeft.isEmpty)
  }
}
