/// JSON text (RFC 8259) that is written in pieces. The caller determines the order of members.
///
/// Foundation's encoder has an order of its own, and takes a fifth of the time of a hold.
///
/// The methods are inlinable, because a response has dozens of short pieces. Without that, there are 8 % fewer reads a
/// second.
@usableFromInline package struct JSONText {
  /// The text in UTF-8.
  @usableFromInline package internal(set) var bytes: [UInt8] = []

  /// - Parameter capacity: the expected length, in bytes.
  @inlinable package init(capacity: Int) {
    bytes.reserveCapacity(capacity)
  }

  /// Appends a text that is valid JSON in its place.
  @inlinable package mutating func raw(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// - Parameter text: valid JSON in its place, from a source that only writes JSON.
  package mutating func verbatim(_ text: String) {
    bytes.append(contentsOf: text.utf8)
  }

  /// Appends a JSON string, with quotes and escapes.
  @inlinable package mutating func string(_ text: String) {
    var text = text
    bytes.append(UInt8(ascii: "\""))
    text.withUTF8 { utf8 in
      if utf8.allSatisfy(Self.isPlain) {
        bytes.append(contentsOf: utf8)
      } else {
        for byte in utf8 { escape(byte) }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  @inlinable package mutating func number(_ value: some FixedWidthInteger) {
    bytes.append(contentsOf: value.description.utf8)
  }

  /// - Parameter value: a finite number.
  package mutating func number(_ value: Double) {
    bytes.append(contentsOf: value.description.utf8)
  }

  /// Appends 16 lower-case hexadecimal digits, without quotes.
  mutating func hexadecimal(_ value: UInt64) {
    for shift in stride(from: 60, through: 0, by: -4) {
      bytes.append(hexadecimalDigit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15))
    }
  }

  /// Appends the elements, with commas between them.
  mutating func list<Element>(_ elements: some Sequence<Element>, _ write: (Element, inout JSONText) -> Void) {
    var isFirst = true
    for element in elements {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      write(element, &self)
    }
  }

  @usableFromInline mutating func escape(_ byte: UInt8) {
    if byte < 0x20 {
      raw("\\u00")
      bytes.append(hexadecimalDigit(byte >> 4))
      bytes.append(hexadecimalDigit(byte & 15))
    } else {
      if !Self.isPlain(byte) { bytes.append(UInt8(ascii: "\\")) }
      bytes.append(byte)
    }
  }

  /// Whether a byte of UTF-8 needs no escape in a JSON string.
  @inlinable static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }
}

/// - Parameter value: 0 to 15.
func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}
