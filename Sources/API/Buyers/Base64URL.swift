/// Base64 with the alphabet for URLs and without padding (RFC 4648, section 5; RFC 7515, section 2).
enum Base64URL {
  /// Nil if the text is not what an encoder makes of any bytes. So bytes have one spelling.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    // One character of a group of four has 6 bits: less than a byte.
    guard text.count % 4 != 1 else { return nil }
    var isValid = true
    let bytes = [UInt8](unsafeUninitializedCapacity: text.count * 3 / 4) { bytes, count in
      var bits: UInt32 = 0
      /// The number of bits that are not in `bytes` yet.
      var bitCount: UInt32 = 0
      for character in text {
        let value = values[Int(character)]
        isValid = isValid && value < 64
        bits = bits << 6 | UInt32(value & 63)
        bitCount += 6
        guard bitCount >= 8 else { continue }
        bitCount -= 8
        bytes[count] = UInt8(truncatingIfNeeded: bits >> bitCount)
        count += 1
      }
      // The last character may have bits that are in no byte. An encoder leaves them zero.
      isValid = isValid && bits & ((1 << bitCount) - 1) == 0
    }
    return isValid ? bytes : nil
  }

  /// For each byte the value of that character, 255 if it is not in the alphabet.
  private static let values: [UInt8] = {
    var values = [UInt8](repeating: 255, count: 256)
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for (value, character) in alphabet.utf8.enumerated() { values[Int(character)] = UInt8(value) }
    return values
  }()
}
