import Tracing

/// OTLP's `ExportTraceServiceRequest` in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
///
/// Ids of traces and spans are hexadecimal, 64-bit integers are strings, and enumerations are numbers.
enum OTLPJSON {
  /// The length of a span with a few attributes.
  private static let typicalSpanBytes = 512

  static func request(_ spans: ArraySlice<FinishedSpan>, serviceName: String) -> [UInt8] {
    var json = JSONText(capacity: spans.count * typicalSpanBytes)
    json.raw(#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"#)
    json.string(serviceName)
    json.raw(#"}}]},"scopeSpans":[{"scope":{"name":"#)
    json.string(serviceName)
    json.raw(#"},"spans":["#)
    json.list(spans) { add($0, to: &$1) }
    json.raw("]}]}]}")
    return json.bytes
  }

  private static func add(_ span: FinishedSpan, to json: inout JSONText) {
    json.raw(#"{"traceId":""#)
    json.hexadecimal(span.trace.traceID.high)
    json.hexadecimal(span.trace.traceID.low)
    json.raw(#"","spanId":""#)
    json.hexadecimal(span.trace.spanID)
    if let parentID = span.parentID {
      json.raw(#"","parentSpanId":""#)
      json.hexadecimal(parentID)
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
    json.number(number(of: span.kind))
    json.raw(#","startTimeUnixNano":""#)
    json.number(span.start)
    json.raw(#"","endTimeUnixNano":""#)
    json.number(span.end)
    json.raw("\"")
    add(span.attributes, to: &json)
    if !span.events.isEmpty {
      json.raw(#","events":["#)
      json.list(span.events) { event, json in
        json.raw(#"{"timeUnixNano":""#)
        json.number(event.nanosecondsSinceEpoch)
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
        json.hexadecimal(link.0.traceID.high)
        json.hexadecimal(link.0.traceID.low)
        json.raw(#"","spanId":""#)
        json.hexadecimal(link.0.spanID)
        json.raw("\"")
        add(link.1, to: &json)
        json.raw("}")
      }
      json.raw("]")
    }
    if let status = span.status {
      json.raw(#","status":{"code":"#)
      json.number(status.code == .error ? 2 : 1)
      if let message = status.message {
        json.raw(#","message":"#)
        json.string(message)
      }
      json.raw("}")
    }
    json.raw("}")
  }

  private static func number(of kind: SpanKind) -> Int {
    switch kind {
    case .internal: 1
    case .server: 2
    case .client: 3
    case .producer: 4
    case .consumer: 5
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
    func integer(_ value: Int64) {
      json.raw(#"{"intValue":""#)
      json.number(value)
      json.raw(#""}"#)
    }
    switch value {
    case .int32(let value): integer(Int64(value))
    case .int64(let value): integer(value)
    case .double(let value) where value.isFinite:
      json.raw(#"{"doubleValue":"#)
      json.number(value)
      json.raw("}")
    // JSON has no such numbers, so protocol buffers write strings.
    case .double(let value) where value.isNaN: json.raw(#"{"doubleValue":"NaN"}"#)
    case .double(let value) where value > 0: json.raw(#"{"doubleValue":"Infinity"}"#)
    case .double: json.raw(#"{"doubleValue":"-Infinity"}"#)
    case .bool(true): json.raw(#"{"boolValue":true}"#)
    case .bool(false): json.raw(#"{"boolValue":false}"#)
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
