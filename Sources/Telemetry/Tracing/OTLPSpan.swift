import Synchronization
import Tracing

/// A span. When it ends, it is queued for the exporter, if its trace is recorded.
package final class OTLPSpan: Tracing.Span {
  package let context: InstrumentationContext
  private let kind: SpanKind
  private let parentID: UInt64?
  /// Nanoseconds since 1970. Zero if the trace is not recorded.
  private let start: UInt64
  /// Nil if the trace is not recorded.
  private let queue: SpanQueue?
  private let state: Mutex<State>

  private struct State {
    var name: String
    var attributes: SpanAttributes = [:]
    var events: [SpanEvent] = []
    var links: [SpanLink] = []
    var status: SpanStatus?
    var isEnded = false
  }

  /// The most events, and the most links, of one span. They bound its memory.
  private static let maximumCount = 128

  init(
    _ name: String, kind: SpanKind, context: InstrumentationContext, parentID: UInt64?, start: UInt64, queue: SpanQueue?
  ) {
    self.context = context
    self.kind = kind
    self.parentID = parentID
    self.start = start
    self.queue = queue
    state = Mutex(State(name: name))
  }

  package var isRecording: Bool { queue != nil }

  package var operationName: String {
    get { state.withLock { $0.name } }
    set { state.withLock { $0.name = newValue } }
  }

  package var attributes: SpanAttributes {
    get { state.withLock { $0.attributes } }
    set { if isRecording { state.withLock { $0.attributes = newValue } } }
  }

  package func setStatus(_ status: SpanStatus) {
    state.withLock { $0.status = status }
  }

  package func addEvent(_ event: SpanEvent) {
    guard isRecording else { return }
    state.withLock { if $0.events.count < Self.maximumCount { $0.events.append(event) } }
  }

  package func addLink(_ link: SpanLink) {
    guard isRecording else { return }
    state.withLock { if $0.links.count < Self.maximumCount { $0.links.append(link) } }
  }

  /// Adds an event `exception`, as OpenTelemetry's conventions require.
  package func recordError<Instant: TracerInstant>(
    _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
  ) {
    guard isRecording else { return }
    var attributes = attributes
    attributes["exception.type"] = String(reflecting: type(of: error))
    attributes["exception.message"] = String(describing: error)
    addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
  }

  /// Ends the span. Further calls have no effect.
  package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
    guard let queue, let trace = context.trace else { return }
    let end = instant().nanosecondsSinceEpoch
    let finished = state.withLock { state -> FinishedSpan? in
      if state.isEnded { return nil }
      state.isEnded = true
      return FinishedSpan(
        trace: trace, parentID: parentID, name: state.name, kind: kind, start: start, end: end,
        attributes: state.attributes, events: state.events, links: state.links, status: state.status)
    }
    if let finished { queue.append(finished) }
  }
}

/// The data of a span that the exporter sends.
struct FinishedSpan: Sendable {
  let trace: TraceContext
  let parentID: UInt64?
  let name: String
  let kind: SpanKind
  /// Nanoseconds since 1970, as `end`.
  let start: UInt64
  let end: UInt64
  let attributes: SpanAttributes
  let events: [SpanEvent]
  let links: [SpanLink]
  let status: SpanStatus?
}
