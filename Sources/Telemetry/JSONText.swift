import NIOCore

/// JSON (RFC 8259) as it is written, piece by piece: spans come by the thousand, and log lines keep their order.
struct JSONText {
  private(set) var buffer: ByteBuffer

  init(capacity: Int) {
    buffer = ByteBufferAllocator().buffer(capacity: capacity)
  }

  /// Appends what is JSON already.
  mutating func raw(_ text: String) {
    buffer.writeString(text)
  }

  mutating func string(_ text: String) {
    buffer.writeInteger(UInt8(ascii: "\""))
    if text.utf8.allSatisfy(Self.isPlain) {
      buffer.writeString(text)
    } else {
      for byte in text.utf8 { escape(byte) }
    }
    buffer.writeInteger(UInt8(ascii: "\""))
  }

  /// The elements, with commas between them.
  mutating func list<Element>(_ elements: some Sequence<Element>, _ write: (Element, inout JSONText) -> Void) {
    var isFirst = true
    for element in elements {
      if !isFirst { buffer.writeInteger(UInt8(ascii: ",")) }
      isFirst = false
      write(element, &self)
    }
  }

  private mutating func escape(_ byte: UInt8) {
    if byte < 0x20 {
      buffer.writeString(byte < 0x10 ? "\\u000" : "\\u00")
      buffer.writeString(String(byte, radix: 16))
    } else {
      if !Self.isPlain(byte) { buffer.writeInteger(UInt8(ascii: "\\")) }
      buffer.writeInteger(byte)
    }
  }

  /// Whether a byte of UTF-8 stands for itself in a JSON string.
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }
}
