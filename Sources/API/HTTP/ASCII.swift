import Glibc

/// Protocols compare bytes. `String` compares characters by Unicode's canonical equivalence, so texts of different
/// bytes may be equal.
extension StringProtocol {
  /// Whether the texts have the same bytes.
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
  /// Whether these are the bytes of an ASCII word, without regard to case.
  ///
  /// - Parameter word: an ASCII word in lower case.
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
  /// The bytes without spaces and tabs at either end. These are not part of a field's value (RFC 9110, section 5.5).
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

  /// The value of a hexadecimal digit, 0 to 15. Nil for any other byte.
  var hexadecimalValue: UInt8? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  var lowercasedASCII: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }

  /// Whether it is an unreserved character of a URI (RFC 3986, section 2.3).
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
