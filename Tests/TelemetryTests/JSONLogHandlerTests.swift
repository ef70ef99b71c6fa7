import CoreMetrics
import Foundation
import Logging
import Synchronization
import Testing
import Tracing

@testable import Telemetry

@Suite struct JSONLogHandlerTests {
  private final class Lines: Sendable {
    private let text = Mutex("")
    func append(_ line: [UInt8]) { text.withLock { $0 += String(decoding: line, as: UTF8.self) } }
    var contents: String { text.withLock { $0 } }
  }

  private static func logged(_ body: (inout Logger) -> Void) throws -> [String: Any] {
    let lines = Lines()
    var logger = Logger(label: "the label") {
      JSONLogHandler(label: $0, metadataProvider: .trace, write: lines.append)
    }
    body(&logger)
    let text = lines.contents
    #expect(text.hasSuffix("\n") && text.count { $0 == "\n" } == 1)
    return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func `a log line has a time, a level, a label and a message`() throws {
    // The line's time is rounded down to milliseconds.
    let before = Date.now.addingTimeInterval(-0.002)
    let line = try Self.logged { $0.warning("it \"broke\"\n\u{0}\u{1F}\\ é 🛒") }
    #expect(line.count == 4)
    #expect(line["level"] as? String == "warning" && line["label"] as? String == "the label")
    #expect(line["message"] as? String == "it \"broke\"\n\u{0}\u{1F}\\ é 🛒")
    let time = try #require(line["time"] as? String)
    let date = try Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(time)
    #expect(time.hasSuffix("Z") && before <= date && date <= .now)
  }

  @Test func `metadata become members of the log line`() throws {
    let line = try Self.logged { logger in
      logger[metadataKey: "request"] = "1"
      logger[metadataKey: "who"] = "logger"
      logger.info(
        "x", metadata: ["who": "line", "a": ["b": ["c", .stringConvertible(7)]], "message": "not the message"])
    }
    #expect(line["request"] as? String == "1" && line["who"] as? String == "line")
    #expect((line["a"] as? [String: [String]]) == ["b": ["c", "7"]])
    #expect(line["message"] as? String == "x" && line["metadata.message"] as? String == "not the message")
  }

  @Test func `a log line inside a trace has the trace's ids`() throws {
    let tracer = OTLPTracer(queue: SpanQueue(metrics: NOOPMetricsHandler.instance), sampleRatio: 1)
    let span = tracer.startSpan("call", context: .topLevel)
    let line = try Self.logged { logger in
      InstrumentationContext.$current.withValue(span.context) { logger.info("inside") }
    }
    let trace = try #require(span.context.trace)
    #expect(line["trace_id"] as? String == trace.traceID.description)
    #expect((line["span_id"] as? String)?.count == 16)
    #expect(try Self.logged { $0.info("outside") }["trace_id"] == nil)
  }

  @Test func `a copy of a logger has a level and metadata of its own`() {
    let lines = Lines()
    let first = Logger(label: "a") { JSONLogHandler(label: $0, write: lines.append) }
    var second = first
    second.logLevel = .error
    second[metadataKey: "only"] = "second"
    #expect(first.logLevel == .info && first[metadataKey: "only"] == nil)
  }
}
