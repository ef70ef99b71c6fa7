extension String {
  /// This ISO 4217 code in upper case. Nil if the text is not three ASCII letters.
  var uppercasedCurrency: String? {
    guard utf8.count == 3, utf8.allSatisfy({ UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 }) else { return nil }
    return String(decoding: utf8.map { $0 & ~0x20 }, as: UTF8.self)
  }
}
