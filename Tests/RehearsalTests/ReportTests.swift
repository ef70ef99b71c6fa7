import Foundation
import Testing

@testable import Rehearsal

@Suite struct ReportTests {
  @Test func `the page is one file without scripts and outside requests`() {
    let page = Report(Story.clean.evidence).html
    for part in ["<script", "src=", "url(", "@import", "<link", "NaN", "inf "] {
      #expect(!page.contains(part), "\(part)")
    }
    #expect(page.contains("@media print") && page.contains("All 9 checks hold."))
    #expect(page.components(separatedBy: "<svg").count == 6)
  }

  @Test func `the page and the text name each violation with its evidence, as text`() {
    var story = Story.clean
    story.evidence.readings.holds[4].state = "<b>&"
    let report = Report(story.evidence)
    #expect(!report.holds && report.verdict == "1 of 9 checks failed: nothing_lost.")
    #expect(report.html.contains("hold_state_wrong: the hold is &lt;b&gt;&amp;") && !report.html.contains("<b>"))
    #expect(report.text.contains("keys h4; ids hold_4"))
  }

  @Test func `an interrupted run does not count as a success`() {
    var story = Story.clean
    story.evidence.wasInterrupted = true
    #expect(!Report(story.evidence).holds && Report(story.evidence).verdict.contains("interrupted"))
    story = .clean
    story.evidence.isPaused = false
    #expect(!Report(story.evidence).holds)
  }

  @Test func `the JSON has all evidence`() throws {
    var text = ""
    try Report(Story.clean.evidence).writeJSON { text += $0 }
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let requests = try #require(object["requests"] as? [[String: Any]])
    #expect(requests.count == Story.clean.evidence.requests.count)
    let attempts = try #require(requests[0]["attempts"] as? [[String: Any]])
    #expect(attempts[0]["sent"] as? Int == 0 && attempts[0]["ended"] as? Int == 10_000)
    #expect((object["buyers"] as? [[String: Any]])?.first?["behaviour"] is String)
    #expect((object["checks"] as? [Any])?.count == 9)
    #expect(((object["run"] as? [String: Any])?["scenario"] as? [String: Any])?["stock"] as? Int == 10)
    #expect(((object["readings"] as? [String: Any])?["events"] as? [Any])?.count == 3)
  }

  @Test func `an empty run has a report`() {
    let evidence = Evidence(plan: SalePlan(Scenario()), product: .init(id: 1, stock: 1))
    #expect(!Report(evidence).holds && Report(evidence).html.contains("stock_unknown"))
  }

  @Test func `numbers are easy to read`() {
    #expect(Text.count(0) == "0" && Text.count(999) == "999" && Text.count(1_234_567) == "1,234,567")
    #expect(Text.count(-20_000) == "-20,000")
    #expect(Ticks.upTo(60) == [0, 20, 40, 60] && Ticks.upTo(0.4) == [0, 0.1, 0.2, 0.30000000000000004, 0.4])
  }
}
