import Checkout

/// Finds the members of a JSON object (RFC 8259) in UTF-8 (RFC 3629), in one pass over the bytes.
///
/// The text must be one object. It must not have unpaired surrogates, two members with one name, or too many levels.
///
/// Foundation's decoder is too lenient. It accepts `{"quantity":1,}`, `{"quantity":1,"x":--1}` and texts in UTF-16. Of
/// two members with one name it takes the first, while other programs take the last. It also takes ten times as long.
struct JSONSyntax {
  /// The most levels of nested objects and arrays. The outer object is the first level.
  static let maximumDepth = 32

  /// The first violation of the rules above.
  struct Violation: Error {
    let reason: String
    /// The position of the violation, in bytes.
    let offset: Int
  }

  struct Member {
    /// The name without escapes: `qty` and `\u0071ty` are the same name.
    let name: String
    /// The position of the value, in bytes, without white space around it.
    let value: Range<Int>
  }

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  /// The members of the outer object.
  private var members: [Member] = []

  /// - Throws: `Violation`.
  static func members(of bytes: UnsafeRawBufferPointer) throws -> [Member] {
    var syntax = JSONSyntax(bytes: bytes)
    try syntax.scanText()
    return syntax.members
  }

  private init(bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  private mutating func scanText() throws {
    skipSpace()
    guard next == UInt8(ascii: "{") else { throw violation("it is not an object") }
    try scanObject(depth: 1)
    skipSpace()
    guard position == bytes.count else { throw violation("something follows the object") }
    try checkNames()
  }

  /// The positions of an array's elements, in bytes, without white space around them.
  ///
  /// - Parameter array: a valid array.
  static func elements(ofArray array: UnsafeRawBufferPointer) -> [Range<Int>] {
    var syntax = JSONSyntax(bytes: array)
    var elements: [Range<Int>] = []
    repeat {
      syntax.position += 1
      syntax.skipSpace()
      let start = syntax.position
      // An empty array has no value.
      guard (try? syntax.scanValue(depth: 1)) != nil else { break }
      elements.append(start..<syntax.position)
      syntax.skipSpace()
    } while syntax.next == UInt8(ascii: ",")
    return elements
  }

  /// The members of an object. A name may occur several times.
  ///
  /// - Parameter object: a valid object.
  static func members(ofObject object: UnsafeRawBufferPointer) -> [Member] {
    var syntax = JSONSyntax(bytes: object)
    _ = try? syntax.scanObject(depth: 1)
    return syntax.members
  }

  // MARK: Values

  private mutating func scanValue(depth: Int) throws {
    switch next {
    case UInt8(ascii: "{"): try scanObject(depth: depth + 1)
    case UInt8(ascii: "["): try scanArray(depth: depth + 1)
    case UInt8(ascii: "\""): try scanString()
    case UInt8(ascii: "t"): try scanWord("true")
    case UInt8(ascii: "f"): try scanWord("false")
    case UInt8(ascii: "n"): try scanWord("null")
    default: try scanNumber()
    }
  }

  /// The position must be at the opening brace.
  private mutating func scanObject(depth: Int) throws {
    guard depth <= Self.maximumDepth else { throw violation("it is nested past \(Self.maximumDepth) levels") }
    position += 1
    skipSpace()
    if take(UInt8(ascii: "}")) { return }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw violation("a member's name is missing") }
      let nameStart = position
      try scanString()
      let name = nameStart..<position
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw violation("a colon is missing") }
      skipSpace()
      let valueStart = position
      try scanValue(depth: depth)
      if depth == 1 {
        members.append(Member(name: Self.text(ofString: bytes[name]), value: valueStart..<position))
      }
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw violation("a comma or closing brace is missing") }
  }

  /// The position must be at the opening bracket.
  private mutating func scanArray(depth: Int) throws {
    guard depth <= Self.maximumDepth else { throw violation("it is nested past \(Self.maximumDepth) levels") }
    position += 1
    skipSpace()
    if take(UInt8(ascii: "]")) { return }
    repeat {
      skipSpace()
      try scanValue(depth: depth)
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw violation("a comma or closing bracket is missing") }
  }

  private mutating func scanWord(_ word: StaticString) throws {
    for index in 0..<word.utf8CodeUnitCount where !take(word.utf8Start[index]) { throw violation("a value is wrong") }
  }

  private mutating func scanNumber() throws {
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")) { try scanDigits() }
    if take(UInt8(ascii: ".")) { try scanDigits() }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      if !take(UInt8(ascii: "-")) { _ = take(UInt8(ascii: "+")) }
      try scanDigits()
    }
  }

  /// Scans at least one digit.
  private mutating func scanDigits() throws {
    let start = position
    while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { position += 1 }
    guard position > start else { throw violation("a value is wrong") }
  }

  // MARK: Strings

  /// The position must be at the opening quote.
  private mutating func scanString() throws {
    position += 1
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return
      case UInt8(ascii: "\\"): try scanEscape()
      case 0..<0x20: throw violation("a control character is not escaped")
      case 0..<0x80: position += 1
      default: try scanMultibyteScalar(first: byte)
      }
    }
    throw violation("a string has no end")
  }

  private mutating func scanEscape() throws {
    position += 1
    switch next {
    case UInt8(ascii: "u"):
      position += 1
      let unit = try scanHexadecimal()
      if 0xDC00..<0xE000 ~= unit { throw violation("a surrogate lacks its other half") }
      guard 0xD800..<0xDC00 ~= unit else { return }
      guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), 0xDC00..<0xE000 ~= (try scanHexadecimal()) else {
        throw violation("a surrogate lacks its other half")
      }
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    default: throw violation("an escape is wrong")
    }
  }

  private mutating func scanHexadecimal() throws -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw violation("an escape is wrong")
      }
      unit = unit << 4 | UInt16(digit)
      position += 1
    }
    return unit
  }

  /// Scans a byte sequence of RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
  private mutating func scanMultibyteScalar(first: UInt8) throws {
    let (length, second): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0xC2...0xDF: (2, 0x80...0xBF)
      case 0xE0: (3, 0xA0...0xBF)
      case 0xED: (3, 0x80...0x9F)
      case 0xE1...0xEF: (3, 0x80...0xBF)
      case 0xF0: (4, 0x90...0xBF)
      case 0xF1...0xF3: (4, 0x80...0xBF)
      case 0xF4: (4, 0x80...0x8F)
      default: throw violation("it is not UTF-8")
      }
    guard position + length <= bytes.count, second ~= bytes[position + 1],
      bytes[(position + 2)..<(position + length)].allSatisfy({ 0x80...0xBF ~= $0 })
    else { throw violation("it is not UTF-8") }
    position += length
  }

  // MARK: Names

  /// The most names that are compared pairwise. If there are more, they are hashed, because a body has room for
  /// thousands.
  private static let maximumComparedNames = 16

  private func checkNames() throws {
    var seen: Set<VerbatimText> = []
    let repeated = members.indices.first { index in
      members.count <= Self.maximumComparedNames
        ? members[..<index].contains { $0.name.isVerbatim(members[index].name) }
        : !seen.insert(VerbatimText(members[index].name)).inserted
    }
    if let repeated { throw Violation(reason: "a member occurs twice", offset: members[repeated].value.lowerBound) }
  }

  /// The text of a JSON string, without escapes.
  ///
  /// - Parameter string: a valid JSON string, with its quotes.
  static func text(ofString string: Slice<UnsafeRawBufferPointer>) -> String {
    guard string.contains(UInt8(ascii: "\\")) else {
      return String(decoding: string.dropFirst().dropLast(), as: UTF8.self)
    }
    var units: [UInt16] = []
    var bytes: [UInt8] = []
    var rest = string.dropFirst().dropLast()
    func flush() {
      bytes += String(decoding: units, as: UTF16.self).utf8
      units = []
    }
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
        flush()
        bytes.append(byte)
        continue
      }
      switch escape {
      case UInt8(ascii: "u"):
        // The next escape may be the other half of a surrogate pair, so `flush` decodes both together.
        units.append(rest.prefix(4).reduce(0) { $0 << 4 | UInt16(Character(Unicode.Scalar($1)).hexDigitValue ?? 0) })
        rest = rest.dropFirst(4)
        continue
      case UInt8(ascii: "b"): flush(); bytes.append(0x08)
      case UInt8(ascii: "f"): flush(); bytes.append(0x0C)
      case UInt8(ascii: "n"): flush(); bytes.append(0x0A)
      case UInt8(ascii: "r"): flush(); bytes.append(0x0D)
      case UInt8(ascii: "t"): flush(); bytes.append(0x09)
      default: flush(); bytes.append(escape)
      }
    }
    flush()
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Bytes

  /// The byte at the position. Nil at the end.
  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  /// Skips the next byte if it is this one. Returns whether it was.
  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private func violation(_ reason: String) -> Violation {
    Violation(reason: position < bytes.count ? reason : "it ends too early", offset: position)
  }
}
