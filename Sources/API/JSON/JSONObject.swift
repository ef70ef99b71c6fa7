import NIOCore

/// One JSON object as text (RFC 8259), its members in the order in which they are added.
///
/// Foundation's encoder puts them in a random order, and takes a fifth of the time of a hold.
struct JSONObject {
  /// Bytes and not a `ByteBuffer`, to which every piece of a few bytes is a call that checks a lot.
  private var text: [UInt8] = []
  private var isEmpty = true

  init() {
    text.reserveCapacity(256)  // a small answer fits without growing
    text.append(UInt8(ascii: "{"))
  }

  /// The object's text. Nothing can be added any more.
  consuming func finished() -> ByteBuffer {
    text.append(UInt8(ascii: "}"))
    return ByteBuffer(bytes: text)
  }

  // MARK: Members. Nil is null.

  mutating func add(_ name: StaticString, _ value: String?) {
    begin(name)
    if let value { write(value) } else { append("null") }
  }

  mutating func add(_ name: StaticString, _ value: (some FixedWidthInteger & SignedInteger)?) {
    begin(name)
    if let value { text.append(contentsOf: Int64(value).description.utf8) } else { append("null") }
  }

  mutating func add(_ name: StaticString, _ value: Bool) {
    begin(name)
    append(value ? "true" : "false")
  }

  /// An array of objects, each written by `write`.
  mutating func add<Element>(
    _ name: StaticString, _ elements: some Sequence<Element>, _ write: (Element, inout JSONObject) -> Void
  ) {
    begin(name)
    text.append(UInt8(ascii: "["))
    var isFirst = true
    for element in elements {
      append(isFirst ? "{" : ",{")
      isFirst = false
      isEmpty = true
      write(element, &self)
      text.append(UInt8(ascii: "}"))
    }
    text.append(UInt8(ascii: "]"))
    isEmpty = false
  }

  private mutating func begin(_ name: StaticString) {
    append(isEmpty ? "\"" : ",\"")
    isEmpty = false
    append(name)
    append("\":")
  }

  private mutating func append(_ string: StaticString) {
    text.append(contentsOf: UnsafeBufferPointer(start: string.utf8Start, count: string.utf8CodeUnitCount))
  }

  private mutating func write(_ string: String) {
    text.append(UInt8(ascii: "\""))
    if string.utf8.allSatisfy(Self.isPlain) {
      text.append(contentsOf: string.utf8)
    } else {
      for byte in string.utf8 {
        if Self.isPlain(byte) {
          text.append(byte)
        } else if byte < 0x20 {
          let digits = String(byte, radix: 16)
          append("\\u")
          text.append(contentsOf: (String(repeating: "0", count: 4 - digits.count) + digits).utf8)
        } else {
          text.append(UInt8(ascii: "\\"))
          text.append(byte)
        }
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  /// Whether a byte of UTF-8 stands for itself in a JSON string.
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }
}
