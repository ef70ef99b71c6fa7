import Logging
import Tracing

extension InstrumentationContext {
  /// The current span. Nil outside of a trace.
  package internal(set) var trace: TraceContext? {
    get { self[TraceContextKey.self] }
    set { self[TraceContextKey.self] = newValue }
  }

  private enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
  }
}

extension Logger.MetadataProvider {
  /// Adds `trace_id` and `span_id` to log lines inside a span.
  package static let trace = Logger.MetadataProvider {
    guard let trace = InstrumentationContext.current?.trace else { return [:] }
    return ["trace_id": "\(trace.traceID)", "span_id": "\(hexadecimalText(trace.spanID))"]
  }
}
