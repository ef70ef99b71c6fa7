import CoreMetrics
import TestSupport
import Testing

@testable import Telemetry

@Suite struct MetricsRegistryTests {
  private static let sizes = MetricDescription("sizes", help: "How \\ large\nit is.", buckets: [1, 10])

  private static func text(_ registry: MetricsRegistry) -> String {
    var text = PrometheusText()
    registry.write(into: &text)
    return text.text
  }

  @Test func `metrics are written in the Prometheus text format`() {
    let registry = MetricsRegistry([
      Self.sizes, MetricDescription("requests_total", help: "Requests."), MetricDescription("unused", help: "Nothing."),
    ])
    let requests = Counter(
      label: "requests_total", dimensions: [("route", "/a"), ("method", "GET")], factory: registry)
    requests.increment(by: 2)
    requests.increment()
    let sizes = Self.sizes.histogram(in: registry)
    for size in [0.5, 1, 1.5, 10, 11] { sizes.record(size) }
    Meter(label: "level", factory: registry).set(-1.25)
    #expect(
      Self.text(registry) == """
        # TYPE level gauge
        level -1.25
        # HELP requests_total Requests.
        # TYPE requests_total counter
        requests_total{method="GET",route="/a"} 3
        # HELP sizes How \\\\ large\\nit is.
        # TYPE sizes histogram
        sizes_bucket{le="1"} 2
        sizes_bucket{le="10"} 4
        sizes_bucket{le="+Inf"} 5
        sizes_sum 24
        sizes_count 5

        """)
  }

  @Test func `label values are escaped, and names are made valid`() throws {
    let registry = MetricsRegistry([MetricDescription("a.b", help: "Dotted.")])
    Counter(label: "a.b", dimensions: [("x-y", "a\"b\\c\nd"), ("1st", "é")], factory: registry).increment()
    Counter(label: "9 lives:left", factory: registry).increment()
    let samples = try PrometheusSamples(parsing: Self.text(registry))
    #expect(samples["a_b"] == 1 && samples.helps["a_b"] == "Dotted.")
    #expect(samples.samples.first { $0.name == "a_b" }?.labels == ["x_y": "a\"b\\c\nd", "_1st": "é"])
    #expect(samples["_9_lives:left"] == 1)
  }

  @Test(arguments: [
    (1e300, "1e+300"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (0.1, "0.1"), (-3, "-3"),
  ])
  func `exponents, infinities and NaN are written in Prometheus notation`(_ value: Double, _ text: String) {
    let registry = MetricsRegistry([])
    Meter(label: "level", factory: registry).set(value)
    #expect(Self.text(registry) == "# TYPE level gauge\nlevel \(text)\n")
  }

  @Test func `equal labels in any order are one series`() {
    let registry = MetricsRegistry([])
    Counter(label: "n", dimensions: [("a", "1"), ("b", "2")], factory: registry).increment()
    Counter(label: "n", dimensions: [("b", "2"), ("a", "1")], factory: registry).increment()
    #expect(Self.text(registry) == "# TYPE n counter\nn{a=\"1\",b=\"2\"} 2\n")
  }

  @Test func `concurrent recording loses no value`() async throws {
    let registry = MetricsRegistry([Self.sizes])
    let table = HandleTable<Int, Counter>(capacity: 4) {
      Counter(label: "n", dimensions: [("k", "\($0)")], factory: registry)
    }
    let (tasks, repetitions) = (8, 10_000)
    await withDiscardingTaskGroup { group in
      for _ in 0..<tasks {
        group.addTask {
          let sizes = Self.sizes.histogram(in: registry)
          let level = Meter(label: "level", factory: registry)
          for index in 0..<repetitions {
            table[index % 10].increment()
            sizes.record(2)
            level.increment(by: 0.5)
          }
        }
      }
    }
    let samples = try PrometheusSamples(parsing: Self.text(registry))
    let total = Double(tasks * repetitions)
    // This includes the keys for which the table had no room.
    for key in 0..<10 { #expect(samples["n", ["k": "\(key)"]] == total / 10) }
    #expect(samples["sizes_count"] == total && samples["sizes_sum"] == 2 * total)
    #expect(samples["level"] == total / 2)
  }

  @Test func `durations are recorded in seconds`() throws {
    let registry = MetricsRegistry([])
    Timer(label: "t", factory: registry).recordMilliseconds(1500)
    let samples = try PrometheusSamples(parsing: Self.text(registry))
    #expect(samples["t_sum"] == 1.5)
    #expect(samples["t_bucket", ["le": "1"]] == 0 && samples["t_bucket", ["le": "2.5"]] == 1)
  }

  @Test func `the number of series of a metric is bounded`() throws {
    let registry = MetricsRegistry([])
    for number in 0..<MetricsRegistry.maximumSeriesCount + 10 {
      Counter(label: "n", dimensions: [("user", "\(number)")], factory: registry).increment()
    }
    #expect(try PrometheusSamples(parsing: Self.text(registry)).samples.count == MetricsRegistry.maximumSeriesCount)
  }

  @Test func `a destroyed metric is not written`() {
    let registry = MetricsRegistry([])
    let counter = Counter(label: "n", factory: registry)
    counter.increment()
    counter.destroy()
    #expect(Self.text(registry) == "")
  }

  @Test func `known label values are written before they are counted`() throws {
    let registry = MetricsRegistry([])
    let counter = CounterByLabel(
      MetricDescription("n", help: ""), label: "outcome", known: ["won", "lost"], in: registry)
    counter.increment("won")
    let samples = try PrometheusSamples(parsing: Self.text(registry))
    #expect(samples["n", ["outcome": "won"]] == 1 && samples["n", ["outcome": "lost"]] == 0)
  }
}
