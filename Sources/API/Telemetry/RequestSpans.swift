import NIOHTTP1
import Tracing

/// Records a span for each request, in the trace of the caller's `traceparent`. The attributes follow OpenTelemetry's
/// conventions for HTTP servers (https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
struct RequestSpans: Sendable {
  let tracer: any Tracer

  /// - Parameters:
  ///   - method: nil if the request was refused before its head was complete.
  ///   - header: returns the value of a request header by its name in lower case.
  /// - Returns: nil if the trace begins here and is not recorded. This saves the cost of a span.
  func start(_ method: HTTPMethod?, header: @escaping @Sendable (String) -> String?) -> (any Tracing.Span)? {
    var parent = InstrumentationContext.topLevel
    tracer.extract(header, into: &parent, using: HeaderExtractor())
    let span = tracer.startAnySpan(RequestMetrics.name(of: method), context: parent, ofKind: .server)
    return span.isRecording || header("traceparent") != nil ? span : nil
  }

  /// - Parameter route: the template of the route's path. Nil if no route matches.
  static func end(_ span: any Tracing.Span, _ method: HTTPMethod?, _ route: String?, _ status: HTTPResponseStatus) {
    defer { span.end() }
    guard span.isRecording else { return }
    let method = RequestMetrics.name(of: method)
    var attributes: [String: SpanAttribute] = [
      "http.request.method": .string(method), "http.response.status_code": .int(Int64(status.code)),
    ]
    if let route {
      attributes["http.route"] = .string(route)
      span.operationName = method + " " + route
    }
    span.attributes = SpanAttributes(attributes)
    // A refusal (4xx) is no error of the server.
    if status.code >= 500 { span.setStatus(SpanStatus(code: .error)) }
  }

  private struct HeaderExtractor: Extractor {
    func extract(key: String, from header: @Sendable (String) -> String?) -> String? { header(key) }
  }
}
