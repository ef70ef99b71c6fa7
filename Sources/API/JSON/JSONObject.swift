import NIOCore
import Telemetry

/// The text of one JSON object. Its members have the order in which they are added.
struct JSONObject {
  private var json = JSONText(capacity: 256)  // a usual response fits
  private var isEmpty = true

  init() { json.raw("{") }

  /// The complete text of the object.
  consuming func finished() -> ByteBuffer {
    json.raw("}")
    return ByteBuffer(bytes: json.bytes)
  }

  // MARK: Members. A nil value becomes null.

  mutating func add(_ name: StaticString, _ value: String?) {
    begin(name)
    if let value { json.string(value) } else { json.raw("null") }
  }

  mutating func add(_ name: StaticString, _ value: (some FixedWidthInteger & SignedInteger)?) {
    begin(name)
    if let value { json.number(Int64(value)) } else { json.raw("null") }
  }

  mutating func add(_ name: StaticString, _ value: Bool) {
    begin(name)
    json.raw(value ? "true" : "false")
  }

  /// - Parameter json: a complete JSON value.
  mutating func add(_ name: StaticString, json value: String?) {
    begin(name)
    if let value { json.verbatim(value) } else { json.raw("null") }
  }

  /// - Parameter value: a finite number, or nil.
  mutating func add(_ name: StaticString, _ value: Double?) {
    begin(name)
    if let value { json.number(value) } else { json.raw("null") }
  }

  /// An object whose members `write` adds. With nil, the member is null.
  mutating func add(_ name: StaticString, object write: ((inout JSONObject) -> Void)?) {
    begin(name)
    guard let write else { return json.raw("null") }
    json.raw("{")
    isEmpty = true
    write(&self)
    json.raw("}")
    isEmpty = false
  }

  /// An object with a member for each number.
  mutating func add(_ name: StaticString, numbers: [(name: String, value: Double)]) {
    begin(name)
    json.raw("{")
    isEmpty = true
    for number in numbers {
      if !isEmpty { json.raw(",") }
      isEmpty = false
      json.string(number.name)
      json.raw(":")
      json.number(number.value)
    }
    json.raw("}")
    isEmpty = false
  }

  mutating func add(_ name: StaticString, strings: [String]) {
    begin(name)
    json.raw("[")
    for (index, string) in strings.enumerated() {
      if index > 0 { json.raw(",") }
      json.string(string)
    }
    json.raw("]")
  }

  /// An array of objects, each written by `write`.
  mutating func add<Element>(
    _ name: StaticString, _ elements: some Sequence<Element>, _ write: (Element, inout JSONObject) -> Void
  ) {
    begin(name)
    json.raw("[")
    var isFirst = true
    for element in elements {
      json.raw(isFirst ? "{" : ",{")
      isFirst = false
      isEmpty = true
      write(element, &self)
      json.raw("}")
    }
    json.raw("]")
    isEmpty = false
  }

  private mutating func begin(_ name: StaticString) {
    json.raw(isEmpty ? "\"" : ",\"")
    isEmpty = false
    json.raw(name)
    json.raw("\":")
  }
}
