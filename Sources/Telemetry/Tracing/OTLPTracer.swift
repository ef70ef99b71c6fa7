import Synchronization
import Tracing

/// Records spans for an OpenTelemetry collector. `SpanExporter` sends them.
///
/// A span belongs to the trace of its context. The program in which a trace begins decides whether the trace is
/// recorded, and all other programs follow that decision.
package struct OTLPTracer: Tracer {
  private let queue: SpanQueue
  private let threshold: UInt64
  private let numbers = NumberGenerator()

  /// - Parameter sampleRatio: the part of the traces that begin here and are recorded, 0 to 1.
  package init(queue: SpanQueue, sampleRatio: Double) {
    precondition(0...1 ~= sampleRatio)
    self.queue = queue
    threshold = sampleRatio == 1 ? .max : UInt64(sampleRatio * 0x1p64)
  }

  package func startSpan<Instant: TracerInstant>(
    _ operationName: String, context: @autoclosure () -> InstrumentationContext, ofKind kind: SpanKind,
    at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
  ) -> OTLPSpan {
    var context = context()
    let parent = context.trace
    let traceID = parent?.traceID ?? TraceID(high: numbers.next(), low: numbers.next())
    let isSampled = parent?.isSampled ?? (threshold == .max || numbers.next() < threshold)
    context.trace = TraceContext(
      traceID: traceID, spanID: numbers.next(), isSampled: isSampled, traceState: parent?.traceState)
    return OTLPSpan(
      operationName, kind: kind, context: context, parentID: parent?.spanID,
      start: isSampled ? instant().nanosecondsSinceEpoch : 0, queue: isSampled ? queue : nil)
  }

  package func startAnySpan<Instant: TracerInstant>(
    _ operationName: String, context: @autoclosure () -> InstrumentationContext, ofKind kind: SpanKind,
    at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
  ) -> any Tracing.Span {
    startSpan(
      operationName, context: context(), ofKind: kind, at: instant(), function: function, file: fileID, line: line)
  }

  /// Does nothing: `SpanExporter` sends spans at short intervals.
  package func forceFlush() {}

  package func extract<Carrier, Extract: Extractor>(
    _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
  ) where Extract.Carrier == Carrier {
    guard let traceParent = extractor.extract(key: "traceparent", from: carrier) else { return }
    context.trace = TraceContext(
      traceParent: traceParent, traceState: extractor.extract(key: "tracestate", from: carrier))
  }

  package func inject<Carrier, Inject: Injector>(
    _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
  ) where Inject.Carrier == Carrier {
    guard let trace = context.trace else { return }
    injector.inject(trace.traceParent, forKey: "traceparent", into: &carrier)
    if let state = trace.traceState { injector.inject(state, forKey: "tracestate", into: &carrier) }
  }
}

/// Random ids: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators") with a random
/// start.
///
/// Ids of traces need not be impossible to guess. A number of the kernel's generator costs more than the rest of a
/// span.
private final class NumberGenerator: Sendable {
  private let state = Atomic(UInt64.random(in: .min ... .max))

  /// The next number. Never zero, because a zero id is invalid.
  func next() -> UInt64 {
    var mixed = state.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    mixed ^= mixed >> 31
    return mixed == 0 ? 1 : mixed
  }
}
