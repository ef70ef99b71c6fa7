import NIOCore
import Tracing

/// Spans as OTLP's `ExportTraceServiceRequest` in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding):
/// numbers of traces and spans in hexadecimal, 64-bit integers as strings, enumerations as numbers.
enum OTLPJSON {
  /// A span with a few attributes.
  private static let typicalSpanBytes = 512

  static func request(_ spans: ArraySlice<FinishedSpan>, serviceName: String) -> ByteBuffer {
    var json = JSONText(capacity: spans.count * typicalSpanBytes)
    json.raw(#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"#)
    json.string(serviceName)
    json.raw(#"}}]},"scopeSpans":[{"scope":{"name":"#)
    json.string(serviceName)
    json.raw(#"},"spans":["#)
    json.list(spans) { add($0, to: &$1) }
    json.raw("]}]}]}")
    return json.buffer
  }

  private static func add(_ span: FinishedSpan, to json: inout JSONText) {
    json.raw(#"{"traceId":""#)
    json.raw(span.trace.traceID.description)
    json.raw(#"","spanId":""#)
    json.raw(hexadecimalText(span.trace.spanID))
    if let parentID = span.parentID {
      json.raw(#"","parentSpanId":""#)
      json.raw(hexadecimalText(parentID))
    }
    if let state = span.trace.traceState {
      json.raw(#"","traceState":"#)
      json.string(state)
      json.raw(#","name":"#)
    } else {
      json.raw(#"","name":"#)
    }
    json.string(span.name)
    json.raw(#","kind":"#)
    json.raw(number(of: span.kind))
    json.raw(#","startTimeUnixNano":""#)
    json.raw(String(span.start))
    json.raw(#"","endTimeUnixNano":""#)
    json.raw(String(span.end))
    json.raw("\"")
    add(span.attributes, to: &json)
    if !span.events.isEmpty {
      json.raw(#","events":["#)
      json.list(span.events) { event, json in
        json.raw(#"{"timeUnixNano":""#)
        json.raw(String(event.nanosecondsSinceEpoch))
        json.raw(#"","name":"#)
        json.string(event.name)
        add(event.attributes, to: &json)
        json.raw("}")
      }
      json.raw("]")
    }
    let links = span.links.compactMap { link in link.context.trace.map { ($0, link.attributes) } }
    if !links.isEmpty {
      json.raw(#","links":["#)
      json.list(links) { link, json in
        json.raw(#"{"traceId":""#)
        json.raw(link.0.traceID.description)
        json.raw(#"","spanId":""#)
        json.raw(hexadecimalText(link.0.spanID))
        json.raw("\"")
        add(link.1, to: &json)
        json.raw("}")
      }
      json.raw("]")
    }
    if let status = span.status {
      json.raw(#","status":{"code":"#)
      json.raw(status.code == .error ? "2" : "1")
      if let message = status.message {
        json.raw(#","message":"#)
        json.string(message)
      }
      json.raw("}")
    }
    json.raw("}")
  }

  private static func number(of kind: SpanKind) -> String {
    switch kind {
    case .internal: "1"
    case .server: "2"
    case .client: "3"
    case .producer: "4"
    case .consumer: "5"
    }
  }

  private static func add(_ attributes: SpanAttributes, to json: inout JSONText) {
    guard !attributes.isEmpty else { return }
    json.raw(#","attributes":["#)
    var isFirst = true
    attributes.forEach { key, value in
      if !isFirst { json.raw(",") }
      isFirst = false
      json.raw(#"{"key":"#)
      json.string(key)
      json.raw(#","value":"#)
      add(value, to: &json)
      json.raw("}")
    }
    json.raw("]")
  }

  private static func add(_ value: SpanAttribute, to json: inout JSONText) {
    func array<Element>(_ values: [Element], _ wrap: (Element) -> SpanAttribute) {
      json.raw(#"{"arrayValue":{"values":["#)
      json.list(values) { add(wrap($0), to: &$1) }
      json.raw("]}}")
    }
    switch value {
    case .int32(let value): json.raw(#"{"intValue":"\#(value)"}"#)
    case .int64(let value): json.raw(#"{"intValue":"\#(value)"}"#)
    case .double(let value) where value.isFinite: json.raw(#"{"doubleValue":\#(value)}"#)
    // As protocol buffers write what JSON has no number for.
    case .double(let value):
      json.raw(#"{"doubleValue":"\#(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity")"}"#)
    case .bool(let value): json.raw(#"{"boolValue":\#(value)}"#)
    case .int32Array(let values): array(values) { .int32($0) }
    case .int64Array(let values): array(values) { .int64($0) }
    case .doubleArray(let values): array(values) { .double($0) }
    case .boolArray(let values): array(values) { .bool($0) }
    case .stringArray(let values): array(values) { .string($0) }
    case .stringConvertibleArray(let values): array(values) { .string($0.description) }
    case .string(let value): string(value, in: &json)
    case .stringConvertible(let value): string(value.description, in: &json)
    default: string("\(value)", in: &json)
    }
  }

  private static func string(_ value: String, in json: inout JSONText) {
    json.raw(#"{"stringValue":"#)
    json.string(value)
    json.raw("}")
  }
}
