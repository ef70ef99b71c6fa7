import Glibc

/// The texts of a protocol are bytes. `String` compares what people see: a letter and a combining mark are one character,
/// and texts that Unicode takes for the same are equal.
extension StringProtocol {
  /// Whether the bytes are the same.
  func isVerbatim(_ other: some StringProtocol) -> Bool {
    let isSame = utf8.withContiguousStorageIfAvailable { bytes in
      other.utf8.withContiguousStorageIfAvailable { others in
        bytes.count == others.count
          && (bytes.isEmpty || memcmp(bytes.baseAddress!, others.baseAddress!, bytes.count) == 0)
      }
    }
    return isSame.flatMap { $0 } ?? utf8.elementsEqual(other.utf8)
  }
}

extension Collection<UInt8> {
  /// Whether these are the bytes of a word in ASCII, in upper or lower case.
  ///
  /// - Parameter word: in lower case.
  func isWord(_ word: StaticString) -> Bool {
    isWord(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
  }

  func isWord(_ word: UnsafeBufferPointer<UInt8>) -> Bool {
    func isWord(_ bytes: some Collection<UInt8>) -> Bool {
      bytes.count == word.count && zip(bytes, word).allSatisfy { $0.lowercasedASCII == $1 }
    }
    return withContiguousStorageIfAvailable { isWord($0) } ?? isWord(self)
  }
}

extension BidirectionalCollection<UInt8> {
  /// Without the white space around a field's value, which is no part of it (RFC 9110, section 5.5).
  var trimmed: SubSequence {
    var rest = self[...]
    while let first = rest.first, first.isSpaceOrTab { rest = rest.dropFirst() }
    while let last = rest.last, last.isSpaceOrTab { rest = rest.dropLast() }
    return rest
  }
}

extension UInt8 {
  var isSpaceOrTab: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

  var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }

  /// The value of a hexadecimal digit.
  var hexadecimalValue: UInt8? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  var lowercasedASCII: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }

  /// Whether it stands for itself in every part of a URI (RFC 3986, section 2.3).
  var isUnreserved: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      true
    default: false
    }
  }
}
