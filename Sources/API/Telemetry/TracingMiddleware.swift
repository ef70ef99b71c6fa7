import HTTPTypes
import Hummingbird
import Tracing

/// Records a span for each request, in the trace that the caller tells of (OpenTelemetry's conventions for HTTP servers,
/// https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
struct TracingMiddleware: RouterMiddleware {
  let tracer: any Tracer

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    var parent = InstrumentationContext.topLevel
    tracer.extract(request.headers, into: &parent, using: HeaderExtractor())
    let span = tracer.startAnySpan(request.method.rawValue, context: parent, ofKind: .server)
    defer { span.end() }
    return try await InstrumentationContext.$current.withValue(span.context) {
      do {
        let response = try await next(request, context)
        describe(request, context, response.status, in: span)
        return response
      } catch {
        span.recordError(error)
        describe(request, context, .internalServerError, in: span)
        throw error
      }
    }
  }

  private func describe(
    _ request: Request, _ context: AppContext, _ status: HTTPResponse.Status, in span: any Tracing.Span
  ) {
    guard span.isRecording else { return }
    var attributes: [String: SpanAttribute] = [
      "http.request.method": .string(request.method.rawValue), "http.response.status_code": .int(Int64(status.code)),
    ]
    if let route = context.route {
      attributes["http.route"] = .string(route)
      span.operationName = request.method.rawValue + " " + route
    }
    span.attributes = SpanAttributes(attributes)
    // Refusals are the caller's fault, and no error of the server.
    if status.kind == .serverError { span.setStatus(SpanStatus(code: .error)) }
  }

  private struct HeaderExtractor: Extractor {
    func extract(key: String, from headers: HTTPFields) -> String? {
      switch key {
      // Made once: checking a name takes longer than looking it up.
      case "traceparent": headers[Self.traceParent]
      case "tracestate": headers[Self.traceState]
      default: HTTPField.Name(key).flatMap { headers[$0] }
      }
    }

    private static let traceParent = HTTPField.Name("traceparent")!
    private static let traceState = HTTPField.Name("tracestate")!
  }
}
