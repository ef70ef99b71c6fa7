import Foundation

extension Report {
  private static let shownViolationsOnPage = 20
  private static let shownDots = 4000

  /// The report as one HTML page without scripts and without outside requests.
  package var html: String {
    let date = Date(timeIntervalSince1970: TimeInterval(evidence.startedAt))
    let scenario = evidence.plan.scenario
    let body = [
      "<h1>Rehearsal of a sale</h1>",
      "<p class=\"note\">\(HTML.escape(date.formatted(.iso8601))), \(HTML.escape(evidence.url)), product "
        + "\(evidence.product.id), seed \(scenario.seed)</p>",
      "<p class=\"verdict \(holds ? "good" : "bad")\">\(HTML.escape(verdict))</p>",
      notes.map { "<p>\(HTML.escape($0))</p>" }.joined(separator: "\n"),
      "<h2>Checks</h2>", checkTable, violationLists,
      "<h2>Numbers</h2>", HTML.table(["", ""], numbers),
      HTML.table(Self.latencyHeader, latencies),
      "<p class=\"note\">Latency counts from the time at which a request was due to its final response. It includes "
        + "the wait for a connection, and all repeats.</p>",
      recoveries.isEmpty ? "" : "<h2>Kills</h2>" + HTML.table(Self.recoveryHeader, recoveries, numbersFrom: 0),
      "<h2>Plots</h2>", charts.map(Self.figure).joined(separator: "\n"),
      "<h2>Responses</h2>", responseTable,
      "<h2>Settings</h2>", settingsTable,
    ]
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Rehearsal of a sale: \(HTML.escape(verdict))</title>
      <style>
      \(ReportStyle.css)
      </style>
      </head>
      <body>
      \(body.filter { !$0.isEmpty }.joined(separator: "\n"))
      </body>
      </html>

      """
  }

  private var checkTable: String {
    HTML.table(
      ["", "question", "evidence"], checks.map { [$0.holds ? "✓ holds" : "✗ failed", $0.question, $0.summary] },
      numbersFrom: 3)
  }

  private var violationLists: String {
    checks.filter { !$0.holds }.map { check in
      let shown = check.violations.prefix(Self.shownViolationsOnPage).map { "<li>\(HTML.escape($0.line))</li>" }
      let more = check.violations.count - shown.count
      let rest = more > 0 ? "<p>And \(more) more: see the JSON.</p>" : ""
      return "<h3 class=\"bad\">\(HTML.escape(check.name))</h3><ul class=\"violations\">\(shown.joined())</ul>\(rest)"
    }.joined(separator: "\n")
  }

  private var responseTable: String {
    let holds = statistics.holdResponses.map { ["hold", $0.key == "201" ? "granted" : $0.key, Text.count($0.value)] }
    let verdicts = statistics.verdicts.map { ["payment event", $0.key, Text.count($0.value)] }
    return HTML.table(
      ["request", "response", "count"], (holds + verdicts).sorted { $0[0] + $0[1] < $1[0] + $1[1] }, numbersFrom: 2)
  }

  private var settingsTable: String {
    let scenario = evidence.plan.scenario
    let behaviours = Dictionary(grouping: evidence.plan.buyers) { $0.behaviour }
    let rows = [
      ["buyers", Text.count(scenario.buyers)], ["stock", Text.count(scenario.stock)],
      ["arrival", scenario.arrival.rawValue], ["seconds", String(format: "%g", scenario.seconds)],
      ["abandon", Text.percent(scenario.abandon)], ["fail", Text.percent(scenario.fail)],
      ["early", Text.percent(scenario.early)], ["late", Text.percent(scenario.late)],
      ["bots", Text.percent(scenario.bots)], ["duplicates", String(scenario.duplicates)],
      ["seed", String(scenario.seed)],
    ]
    return HTML.table(
      ["", ""],
      rows + BuyerPlan.Behaviour.allCases.map { ["planned: \($0.rawValue)", Text.count(behaviours[$0]?.count ?? 0)] })
  }

  // MARK: Plots

  private var charts: [Chart] {
    let timeline = Timeline(evidence)
    let kills = evidence.kills.map(\.started.inSeconds)
    func series(_ name: String, _ values: [Double]) -> Chart.Series {
      Chart.Series(name: name, points: zip(timeline.seconds, values).map { ($0, $1) })
    }
    func known(_ name: String, _ values: [Double?]) -> Chart.Series {
      Chart.Series(
        name: name, points: zip(timeline.seconds, values).compactMap { time, value in value.map { (time, $0) } })
    }
    return [
      Chart(
        title: "Requests for holds", xLabel: "seconds", yLabel: "per second",
        series: [
          series("granted", timeline.granted), series("refused", timeline.refused), series("failed", timeline.failed),
          series("arrivals", timeline.arrivals),
        ], marks: kills),
      unitsChart(kills),
      Chart(
        title: "Latency of all requests", xLabel: "seconds", yLabel: "ms, logarithmic",
        series: [known("p50", timeline.p50), known("p99", timeline.p99)], marks: kills, isLogarithmic: true),
      percentileChart,
      fairnessChart,
    ]
  }

  private func unitsChart(_ kills: [Double]) -> Chart {
    let end = evidence.end.inSeconds
    let steps = NeverOversold.steps(Ledger(evidence)).filter { $0.time <= evidence.end }
    let units = [(x: 0.0, y: 0.0)] + steps.map { (x: $0.time.inSeconds, y: Double($0.units)) }
    let last = [(x: end, y: units.last?.y ?? 0)]
    let stock = Double(evidence.product.stock)
    return Chart(
      title: "Units that are certainly taken", xLabel: "seconds", yLabel: "units",
      series: [
        Chart.Series(name: "taken", points: units + last, style: .steps),
        Chart.Series(name: "stock", points: [(0, stock), (end, stock)]),
      ], marks: kills)
  }

  private var percentileChart: Chart {
    let kinds: [RequestTemplate.Kind] = [.hold, .order, .payment]
    return Chart(
      title: "Share of requests within a time", xLabel: "percent of the requests", yLabel: "ms, logarithmic",
      series: kinds.map { kind in
        let percentiles = Percentiles(evidence.requests.compactMap { $0.kind == kind ? $0.latency : nil })
        let points = (1...1000).compactMap { step -> (x: Double, y: Double)? in
          percentiles.value(Double(step) / 1000).map { (Double(step) / 10, $0.inMilliseconds) }
        }
        return Chart.Series(name: kind.rawValue, points: points)
      }, isLogarithmic: true)
  }

  /// With many grants, only some are drawn.
  private var fairnessChart: Chart {
    let plans = evidence.plan.buyers
    func grants(_ isBot: Bool) -> [(x: Double, y: Double)] {
      let all = evidence.requests.compactMap { request -> (x: Double, y: Double)? in
        guard request.kind == .hold, request.isSuccess, request.response?.isReplay == false,
          plans[request.buyer].isBot == isBot, let time = request.answered
        else { return nil }
        return (plans[request.buyer].arrival.inSeconds, time.inSeconds)
      }
      let step = max(1, all.count / Self.shownDots)
      return stride(from: 0, to: all.count, by: step).map { all[$0] }
    }
    return Chart(
      title: "Arrival and grant", xLabel: "arrival, seconds", yLabel: "grant, seconds",
      series: [
        Chart.Series(name: "people", points: grants(false), style: .dots),
        Chart.Series(name: "bots", points: grants(true), style: .dots),
      ])
  }

  private static func figure(_ chart: Chart) -> String {
    "<figure><figcaption>\(HTML.escape(chart.title))</figcaption>\n\(chart.svg())\n</figure>"
  }
}
