import CoreMetrics
import Logging
import NIOCore
import ServiceLifecycle
import TestSupport
import Testing
import Tracing

@testable import Telemetry

@Suite struct OTLPTracerTests {
  private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

  private static func queue(_ metrics: any MetricsFactory = NOOPMetricsHandler.instance) -> SpanQueue {
    SpanQueue(metrics: metrics)
  }

  private struct Headers: Extractor, Injector {
    func extract(key: String, from headers: [String: String]) -> String? { headers[key] }
    func inject(_ value: String, forKey key: String, into headers: inout [String: String]) { headers[key] = value }
  }

  private static func context(_ tracer: OTLPTracer, _ headers: [String: String]) -> InstrumentationContext {
    var context = InstrumentationContext.topLevel
    tracer.extract(headers, into: &context, using: Headers())
    return context
  }

  @Test func `a span continues the caller's trace`() throws {
    let queue = Self.queue()
    let tracer = OTLPTracer(queue: queue, sampleRatio: 0)
    let context = Self.context(tracer, ["traceparent": Self.parent + "01", "tracestate": "a=1"])
    let span = tracer.startSpan("call", context: context, ofKind: .server)
    var headers: [String: String] = [:]
    tracer.inject(span.context, into: &headers, using: Headers())
    span.end()
    span.end()
    let finished = try #require(queue.takeAll().only)
    #expect(finished.trace.traceID.description == "0af7651916cd43dd8448eb211c80319c")
    #expect(finished.parentID == 0xb7ad_6b71_6920_3331 && finished.trace.spanID != finished.parentID)
    #expect(headers["traceparent"] == finished.trace.traceParent && headers["tracestate"] == "a=1")
    #expect(finished.end >= finished.start)
  }

  @Test func `a caller's decision not to record is respected`() {
    let queue = Self.queue()
    let tracer = OTLPTracer(queue: queue, sampleRatio: 1)
    let span = tracer.startSpan("call", context: Self.context(tracer, ["traceparent": Self.parent + "00"]))
    span.attributes["a"] = "b"
    let child = tracer.startSpan("child", context: span.context)
    child.end()
    span.end()
    #expect(!span.isRecording && !child.isRecording && queue.takeAll().isEmpty)
    // Outgoing requests carry the same decision.
    #expect(child.context.trace?.isSampled == false)
  }

  @Test(arguments: [0, 0.25, 1])
  func `the sample ratio of new traces is recorded, each trace completely`(_ ratio: Double) {
    let queue = Self.queue()
    let tracer = OTLPTracer(queue: queue, sampleRatio: ratio)
    let count = 4000
    for _ in 0..<count {
      let root = tracer.startSpan("root", context: .topLevel)
      tracer.startSpan("child", context: root.context).end()
      root.end()
    }
    let finished = queue.takeAll()
    let traces = Dictionary(grouping: finished) { $0.trace.traceID }
    #expect(traces.values.allSatisfy { $0.count == 2 })
    #expect(Set(finished.map(\.trace.spanID)).count == finished.count)
    // Five standard deviations.
    #expect(abs(Double(traces.count) - ratio * Double(count)) <= 5 * (ratio * (1 - ratio) * Double(count)).squareRoot())
  }

  @Test func `a full queue drops spans and counts them`() throws {
    let registry = MetricsRegistry([])
    let queue = SpanQueue(capacity: 3, metrics: registry)
    let tracer = OTLPTracer(queue: queue, sampleRatio: 1)
    for _ in 0..<5 { tracer.startSpan("call", context: .topLevel).end() }
    #expect(queue.takeAll().count == 3)
    var text = PrometheusText()
    registry.write(into: &text)
    #expect(try PrometheusSamples(parsing: text.text)["trace_spans_total", ["outcome": "dropped"]] == 2)
  }

  @Test func `the collector receives the recorded spans`() async throws {
    let registry = MetricsRegistry([])
    try await SpanCollector.withCollector { collector in
      let queue = SpanQueue(metrics: registry)
      let tracer = OTLPTracer(queue: queue, sampleRatio: 1)
      try await Self.withExporter(queue, endpoint: collector.url + "/") {
        let context = Self.context(tracer, ["traceparent": Self.parent + "01", "tracestate": "a=\"q\""])
        let span = tracer.startSpan("call \"me\"", context: context, ofKind: .server)
        span.attributes = [
          "text": "a\nb", "whole": 42, "real": 0.5, "flag": .bool(true), "list": .stringArray(["x", "y"]),
        ]
        span.recordError(Unexpected("oh \u{1} no"))
        span.setStatus(SpanStatus(code: .error, message: "bad"))
        span.addLink(SpanLink(context: context, attributes: [:]))
        span.end()
        let received = try await collector.span(named: "call \"me\"")
        #expect(received.traceId == "0af7651916cd43dd8448eb211c80319c" && received.parentSpanId == "b7ad6b7169203331")
        #expect(received.traceState == "a=\"q\"" && received.kind == 2 && received.spanId.count == 16)
        #expect(received["text"]?.stringValue == "a\nb" && received["whole"]?.intValue == "42")
        #expect(received["real"]?.doubleValue == 0.5 && received["flag"]?.boolValue == true)
        #expect(received["list"]?.arrayValue?.values.map(\.stringValue) == ["x", "y"])
        #expect(received.status?.code == 2 && received.status?.message == "bad")
        #expect(received.events?.first?.name == "exception")
        #expect(received.events?.first?.attributes?.contains { $0.value.stringValue == "oh \u{1} no" } == true)
        #expect(received.links?.first?.spanId == "b7ad6b7169203331")
        #expect(UInt64(received.startTimeUnixNano)! <= UInt64(received.endTimeUnixNano)!)
        // These spans need several export requests. The last one is sent during shutdown.
        for _ in 0..<SpanQueue.batchSize * 3 { tracer.startSpan("many", context: .topLevel).end() }
      }
      #expect(collector.spans.count == 1 + SpanQueue.batchSize * 3)
      #expect(collector.services == ["test"])
    }
    var text = PrometheusText()
    registry.write(into: &text)
    let exported = try PrometheusSamples(parsing: text.text)["trace_spans_total", ["outcome": "exported"]]
    #expect(exported == Double(1 + SpanQueue.batchSize * 3))
  }

  /// Otherwise each batch of spans could delay the shutdown of a server.
  @Test func `shutdown does not wait for a slow collector`() async throws {
    let registry = MetricsRegistry([])
    let count = SpanQueue.batchSize * 6
    try await SpanCollector.withCollector(delay: .milliseconds(200)) { collector in
      let queue = SpanQueue(metrics: registry)
      let tracer = OTLPTracer(queue: queue, sampleRatio: 1)
      for _ in 0..<count { tracer.startSpan("call", context: .topLevel).end() }
      try await Self.withExporter(queue, endpoint: collector.url, timeLimit: .milliseconds(500)) {}
    }
    var text = PrometheusText()
    registry.write(into: &text)
    let spans = try PrometheusSamples(parsing: text.text)
    #expect(try #require(spans["trace_spans_total", ["outcome": "dropped"]]) >= Double(count / 2))
    #expect(spans.sum("trace_spans_total") == Double(count))
  }

  @Test func `spans are dropped if the collector is unreachable`() async throws {
    let registry = MetricsRegistry([])
    let queue = SpanQueue(metrics: registry)
    let tracer = OTLPTracer(queue: queue, sampleRatio: 1)
    try await Self.withExporter(queue, endpoint: "http://127.0.0.1:1") {
      tracer.startSpan("call", context: .topLevel).end()
    }
    var text = PrometheusText()
    registry.write(into: &text)
    #expect(try PrometheusSamples(parsing: text.text)["trace_spans_total", ["outcome": "dropped"]] == 1)
  }

  /// Runs an exporter until `body` has returned and the exporter has sent the remaining spans.
  private static func withExporter(
    _ queue: SpanQueue, endpoint: String, timeLimit: TimeAmount = .seconds(10),
    _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    let quiet = Logger(label: "exporter") { _ in SwiftLogNoOpLogHandler() }
    let exporter = SpanExporter(
      queue: queue, collector: .init(endpoint: endpoint, serviceName: "test"), timeLimit: timeLimit, logger: quiet)
    // A group that has not begun to run cannot be shut down.
    let (started, start) = AsyncStream.makeStream(of: Void.self)
    let group = ServiceGroup(
      configuration: .init(services: [exporter, Announcer(start: start)], logger: quiet))
    try await withThrowingTaskGroup { tasks in
      tasks.addTask { try await group.run() }
      for await _ in started { break }
      do {
        try await body()
      } catch {
        tasks.cancelAll()
        throw error
      }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
    }
  }
}

private struct Announcer: Service {
  let start: AsyncStream<Void>.Continuation

  func run() async throws {
    start.yield()
    try await gracefulShutdown()
  }
}

extension Array {
  fileprivate var only: Element? { count == 1 ? first : nil }
}
