import Logging
import Tracing

extension InstrumentationContext {
  /// The span that whatever happens in this context belongs to; nil outside of any trace.
  package internal(set) var trace: TraceContext? {
    get { self[TraceContextKey.self] }
    set { self[TraceContextKey.self] = newValue }
  }

  private enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
  }
}

extension Logger.MetadataProvider {
  /// Adds the trace's and the span's number to what is logged inside of one.
  package static let trace = Logger.MetadataProvider {
    guard let trace = InstrumentationContext.current?.trace else { return [:] }
    return ["trace_id": "\(trace.traceID)", "span_id": "\(hexadecimalText(trace.spanID))"]
  }
}
