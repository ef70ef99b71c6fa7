import NIOHTTP1
import Tracing

/// Records a span for each request, in the trace that the caller tells of (OpenTelemetry's conventions for HTTP servers,
/// https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
struct RequestSpans: Sendable {
  let tracer: any Tracer

  /// - Parameters:
  ///   - method: nil when the request was refused before its head was complete.
  ///   - header: the value of a header of the request, by its name in lower case.
  /// - Returns: nil when the trace begins here and is not recorded, as most traces of a crowd are not.
  func start(_ method: HTTPMethod?, header: @escaping @Sendable (String) -> String?) -> (any Tracing.Span)? {
    var parent = InstrumentationContext.topLevel
    tracer.extract(header, into: &parent, using: HeaderExtractor())
    let span = tracer.startAnySpan(RequestMetrics.name(of: method), context: parent, ofKind: .server)
    return span.isRecording || header("traceparent") != nil ? span : nil
  }

  /// - Parameter route: the template of its path; nil when no route took the request.
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
    // Refusals are the fault of the client, and no error of the server.
    if status.code >= 500 { span.setStatus(SpanStatus(code: .error)) }
  }

  private struct HeaderExtractor: Extractor {
    func extract(key: String, from header: @Sendable (String) -> String?) -> String? { header(key) }
  }
}
