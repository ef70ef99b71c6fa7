import HTTPTypes
import Tracing

/// Records a span for each request, in the trace that the caller tells of (OpenTelemetry's conventions for HTTP servers,
/// https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
struct RequestSpans: Sendable {
  let tracer: any Tracer

  /// - Parameter header: the value of a header of the request, by its name in lower case.
  func start(_ method: HTTPRequest.Method, header: @escaping @Sendable (String) -> String?) -> any Tracing.Span {
    var parent = InstrumentationContext.topLevel
    tracer.extract(header, into: &parent, using: HeaderExtractor())
    return tracer.startAnySpan(method.rawValue, context: parent, ofKind: .server)
  }

  /// As `start`, but nil when the trace begins here and is not recorded: then nobody will ever look for it, and most
  /// requests of a crowd are such.
  func startIfWanted(
    _ method: HTTPRequest.Method, header: @escaping @Sendable (String) -> String?
  ) -> (any Tracing.Span)? {
    let span = start(method, header: header)
    return span.isRecording || header("traceparent") != nil ? span : nil
  }

  /// - Parameter route: its path's template; nil when no route took the request.
  static func end(
    _ span: any Tracing.Span, _ method: HTTPRequest.Method, _ route: String?, _ status: HTTPResponse.Status
  ) {
    defer { span.end() }
    guard span.isRecording else { return }
    var attributes: [String: SpanAttribute] = [
      "http.request.method": .string(method.rawValue), "http.response.status_code": .int(Int64(status.code)),
    ]
    if let route {
      attributes["http.route"] = .string(route)
      span.operationName = method.rawValue + " " + route
    }
    span.attributes = SpanAttributes(attributes)
    // Refusals are the caller's fault, and no error of the server.
    if status.kind == .serverError { span.setStatus(SpanStatus(code: .error)) }
  }

  private struct HeaderExtractor: Extractor {
    func extract(key: String, from header: @Sendable (String) -> String?) -> String? { header(key) }
  }
}
