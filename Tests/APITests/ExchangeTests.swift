import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import API
@testable import Telemetry

/// What the server records of an exchange, and how it reads the request.
@Suite struct ExchangeTests {
  private struct Fault: Error {}

  private let recorder = LogRecorder()
  private let registry = MetricsRegistry(MetricDescription.server)
  private let spans: SpanQueue
  private let connection: TestConnection

  init() throws {
    spans = SpanQueue(metrics: registry)
    connection = try TestConnection(
      routes: [
        Route(.POST, "/holds", callback: { _, respond in respond { throw Problem.holdExpired } }),
        Route(.POST, "/faults", callback: { _, _ in throw Fault() }),
        Route(
          .GET, "/items/{id}",
          callback: { request, respond in
            respond { Response(contentType: "text/plain", body: ByteBuffer(string: "item \(request.id)")) }
          }),
      ],
      metrics: RequestMetrics(in: registry),
      spans: RequestSpans(tracer: OTLPTracer(queue: spans, sampleRatio: 1)),
      accessLog: AccessLog(logger: recorder.logger, proxies: TrustedProxies("192.0.2.0/24")!, sampling: 1),
      logger: recorder.logger)
  }

  /// The lines of the request counter in the metrics, sorted.
  private var counts: [String] {
    var text = PrometheusText()
    registry.write(into: &text)
    return text.text.split(separator: "\n").filter { $0.hasPrefix("flashsale_http_requests_total{") }.map(String.init)
      .sorted()
  }

  private func lines(_ names: String...) -> [String] {
    recorder.lines.filter { $0.message == "request" }.map { line in
      names.map { line.metadata[$0] ?? "-" }.joined(separator: " ")
    }
  }

  @Test func `each form of an address gives equal metrics, spans, log lines and headers`() throws {
    var texts: [String] = []
    for path in ["/items/a", "/items/%61", "http://sale/items/a", "/items/a?x=1"] {
      try connection.request("GET", path, headers: "X-Request-Id: mine\r\nX-Forwarded-For: 198.51.100.7\r\n")
      texts.append(try connection.written().replacing(/Date: [^\r]*\r\n/, with: ""))
    }
    #expect(Set(texts).count == 1)
    #expect(texts[0].contains("X-Request-Id: mine\r\n") && texts[0].hasSuffix("item a"))
    #expect(counts.count == 1 && counts[0].hasSuffix(" 4"), "\(counts)")
    #expect(counts[0].contains(#"route="/items/{id}""#))
    let expected = "GET /items/{id} 200 mine 6 198.51.100.7"
    #expect(lines("method", "route", "status", "request_id", "bytes", "client") == Array(repeating: expected, count: 4))
    #expect(recorder.lines.allSatisfy { Double($0.metadata["milliseconds"] ?? "") != nil })
    #expect(Set(spans.takeAll().map(\.name)) == ["GET /items/{id}"])
  }

  @Test func `a problem is recorded like any response`() throws {
    try connection.request("POST", "/holds")
    #expect(try connection.statuses() == [409])
    #expect(lines("method", "route", "status", "problem") == ["POST /holds 409 hold-expired"])
    #expect(counts.count == 1 && counts[0].contains(#"status="409""#))
  }

  @Test func `an error gives a problem, a log line and a span event`() throws {
    try connection.request("POST", "/faults", headers: "X-Request-Id: mine\r\n")
    #expect(try connection.statuses() == [500])
    let fault = try #require(recorder.lines.first { $0.message == "request failed" })
    #expect(fault.metadata["request_id"] == "mine" && fault.metadata["path"] == "/faults")
    let span = try #require(spans.takeAll().first)
    #expect(span.events.map(\.name) == ["exception"])
  }

  @Test(arguments: [
    ("no HTTP\r\n\r\n", "other none 400 malformed-request"),
    ("POST /holds HTTP/1.1\r\nHost: sale\r\nContent-Length: 5000\r\n\r\n", "POST /holds 413 payload-too-large"),
    ("PUT /holds HTTP/1.1\r\nHost: sale\r\n\r\n", "PUT none 405 method-not-allowed"),
    ("GET /a/b HTTP/1.1\r\nHost: sale\r\n\r\n", "GET none 404 not-found"),
    ("ODD /a/b HTTP/1.1\r\nHost: sale\r\n\r\n", "other none 400 malformed-request"),
  ])
  func `a request that no route handles is recorded`(text: String, line: String) throws {
    try connection.receive(text)
    #expect(try connection.responses().count == 1)
    #expect(lines("method", "route", "status", "problem") == [line])
    #expect(counts.count == 1)
    #expect(spans.takeAll().count == 1)
  }

  @Test func `the response to HEAD has the head of GET and no body`() throws {
    try connection.request("HEAD", "/items/a")
    let text = try connection.written()
    #expect(
      text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.contains("Content-Length: 6\r\n") && text.hasSuffix("\r\n\r\n"))
    #expect(lines("method", "bytes") == ["HEAD 0"])
  }

  @Test func `the access log contains every third request`() throws {
    let connection = try TestConnection(
      accessLog: AccessLog(logger: recorder.logger, proxies: TrustedProxies(), sampling: 3))
    for _ in 0..<7 {
      try connection.request()
      connection.respond()
    }
    #expect(lines("status").count == 3)
  }

  @Test func `header values are trimmed, and repeated fields are joined`() throws {
    try connection.request(
      "POST", "/a", headers: "x-request-id: \t a\t\r\nIdempotency-Key: b \r\nidempotency-key: c\r\n")
    let request = try #require(connection.waiting.first)
    #expect(throws: Problem.self) { try request.idempotencyKey }
    #expect(request.headers.value(ofLowercased: "idempotency-key") == "b, c")
    connection.respond()
    #expect(try connection.written().contains("X-Request-Id: a\r\n"))
  }

  @Test func `query parameters are decoded`() throws {
    try connection.request("GET", "/a?verdict=a%20b&cursor=%C3%A9&x&verdict=c+d%2B+")
    let items = try #require(connection.waiting.first).queryItems
    #expect(items.map(\.name) == ["verdict", "cursor", "x", "verdict"])
    #expect(items.map(\.value) == ["a b", "é", nil, "c d+ "])
  }
}
