import Testing

@testable import Rehearsal

@Suite struct StatisticsTests {
  @Test func `percentiles are values of the sample`() {
    let percentiles = Percentiles((1...1000).reversed().map { Microseconds($0) })
    #expect(percentiles.value(0.5) == 500 && percentiles.value(0.99) == 990 && percentiles.value(0.999) == 999)
    #expect(percentiles.value(1) == 1000 && percentiles.maximum == 1000 && percentiles.count == 1000)
    #expect(Percentiles([]).value(0.5) == nil && Percentiles([7]).value(0.001) == 7)
  }

  @Test func `the rank correlation is 1 for the same order, -1 for the reverse, and shares equal ranks`() throws {
    let up = (1...50).map { (Microseconds($0), Microseconds($0 * $0)) }
    let down = (1...50).map { (Microseconds($0), Microseconds(-$0)) }
    #expect(abs(try #require(RankCorrelation.spearman(up)) - 1) < 1e-12)
    #expect(abs(try #require(RankCorrelation.spearman(down)) + 1) < 1e-12)
    #expect(RankCorrelation.ranks([30, 10, 10, 20]) == [4, 1.5, 1.5, 3])
    // The ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4.
    let tied = try #require(RankCorrelation.spearman([(1, 1), (2, 2), (2, 3), (3, 4)]))
    #expect(abs(tied - 0.9486832980505138) < 1e-12)
    #expect(RankCorrelation.spearman([(1, 1)]) == nil && RankCorrelation.spearman([(1, 1), (1, 2)]) == nil)
  }

  @Test func `a recovery lasts from the kill to the first decided response after a failure`() {
    var story = Story()
    story.hold(0, at: 900)
    story.unknownHold(1, at: 1000)
    story.unknownHold(2, at: 1500)
    story.hold(3, at: 2490)
    story.evidence.kills = [
      Kill(started: 1_000_000, ended: 1_100_000, exitCode: 0), Kill(started: 5_000_000, ended: 5_000_000, exitCode: 1),
    ]
    #expect(
      Recovery.all(story.evidence) == [
        Recovery(killed: 1_000_000, exitCode: 0, failures: 2, time: 1_500_000),
        Recovery(killed: 5_000_000, exitCode: 1, failures: 0, time: 0),
      ])
  }

  @Test func `a kill without a response afterwards has no recovery`() {
    var story = Story()
    story.unknownHold(1, at: 1000)
    story.evidence.kills = [Kill(started: 1_000_000, ended: 1_000_000, exitCode: nil)]
    #expect(Recovery.all(story.evidence) == [Recovery(killed: 1_000_000, exitCode: nil, failures: 1, time: nil)])
  }

  @Test func `a generator that lags says that it measured itself`() {
    var story = Story.clean
    #expect(!Statistics(story.evidence).measuredItself)
    story.evidence.requests[0].started += 11_000
    let statistics = Statistics(story.evidence)
    #expect(statistics.measuredItself && statistics.lagMaximum == 11_000)
    #expect(Report(story.evidence).notes.contains { $0.contains("measured itself") })
  }

  @Test func `numbers of the sale come from the responses`() {
    let statistics = Statistics(Story.clean.evidence)
    #expect(statistics.unitsGranted == 7 && statistics.unitsPaid == 3 && statistics.soldOut == 10_000)
    #expect(statistics.holdResponses == ["201": 7, "insufficient-stock": 1])
    #expect(statistics.verdicts == ["applied": 4, "parked": 1])
    #expect(statistics.latencies[0].requests == "all" && statistics.latencies[0].p99 == 10_000)
  }

  @Test func `grants in the order of arrival have a correlation of 1`() throws {
    var story = Story()
    for number in 0..<10 { story.hold(number, at: Int64(number) * 10) }
    let statistics = Statistics(story.evidence)
    if let people = statistics.people.correlation { #expect(abs(people - 1) < 1e-12) }
    #expect(statistics.people.granted + statistics.bots.granted == 10)
  }
}
