import NIOCore

/// One JSON object as text (RFC 8259), its members in the order in which they are added.
///
/// Foundation's encoder puts them in a random order, and takes a fifth of the time of a hold.
struct JSONObject {
  private(set) var buffer: ByteBuffer

  /// A small answer fits without growing.
  private static let initialCapacity = 256

  init() {
    self.init(writingInto: ByteBufferAllocator().buffer(capacity: Self.initialCapacity))
  }

  private init(writingInto buffer: ByteBuffer) {
    self.buffer = buffer
    self.buffer.writeInteger(UInt8(ascii: "{"))
    isEmpty = true
  }

  private var isEmpty: Bool

  /// The object's text. Nothing can be added any more.
  consuming func finished() -> ByteBuffer {
    buffer.writeInteger(UInt8(ascii: "}"))
    return buffer
  }

  // MARK: Members. Nil is null.

  mutating func add(_ name: StaticString, _ value: String?) {
    begin(name)
    if let value { write(value) } else { buffer.writeStaticString("null") }
  }

  mutating func add(_ name: StaticString, _ value: (some BinaryInteger)?) {
    begin(name)
    if let value { buffer.writeString(String(value)) } else { buffer.writeStaticString("null") }
  }

  mutating func add(_ name: StaticString, _ value: Bool) {
    begin(name)
    buffer.writeStaticString(value ? "true" : "false")
  }

  /// An array of objects, each written by `write`.
  mutating func add<Element>(
    _ name: StaticString, _ elements: some Sequence<Element>, _ write: (Element, inout JSONObject) -> Void
  ) {
    begin(name)
    buffer.writeInteger(UInt8(ascii: "["))
    var isFirst = true
    for element in elements {
      if !isFirst { buffer.writeInteger(UInt8(ascii: ",")) }
      isFirst = false
      var object = JSONObject(writingInto: buffer)
      write(element, &object)
      buffer = object.finished()
    }
    buffer.writeInteger(UInt8(ascii: "]"))
  }

  private mutating func begin(_ name: StaticString) {
    if !isEmpty { buffer.writeInteger(UInt8(ascii: ",")) }
    isEmpty = false
    buffer.writeInteger(UInt8(ascii: "\""))
    buffer.writeStaticString(name)
    buffer.writeStaticString("\":")
  }

  private mutating func write(_ string: String) {
    buffer.writeInteger(UInt8(ascii: "\""))
    if string.utf8.allSatisfy(Self.isPlain) {
      buffer.writeString(string)
    } else {
      for byte in string.utf8 {
        if Self.isPlain(byte) {
          buffer.writeInteger(byte)
        } else if byte < 0x20 {
          let digits = String(byte, radix: 16)
          buffer.writeString("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
        } else {
          buffer.writeInteger(UInt8(ascii: "\\"))
          buffer.writeInteger(byte)
        }
      }
    }
    buffer.writeInteger(UInt8(ascii: "\""))
  }

  /// Whether a byte of UTF-8 stands for itself in a JSON string.
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }
}
