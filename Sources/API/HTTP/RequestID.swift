import Checkout

/// The number under which a request is found in the logs: the client's own if it sent one that is fit to be logged and
/// returned, else 32 random hexadecimal digits.
enum RequestID {
  /// Long enough for a UUID or a trace id with a prefix.
  private static let maximumLength = 128

  /// - Parameter given: the client's `X-Request-Id`.
  static func ofRequest(with given: String?) -> String {
    if let given, isSane(given) { given } else { random() }
  }

  /// Whether it may stand in a log, and in a header that nobody checks any more.
  private static func isSane(_ id: String) -> Bool {
    1...maximumLength ~= id.utf8.count && id.utf8.allSatisfy { 0x21...0x7E ~= $0 }
  }

  /// From the kernel's generator: an id must not tell the ids before and after it, or how many requests lie between.
  static func random() -> String {
    let words = words.nextTwo()
    return String(unsafeUninitializedCapacity: 32) { buffer in
      for index in 0..<16 {
        buffer[index] = digit(words.0, index)
        buffer[index + 16] = digit(words.1, index)
      }
      return 32
    }
  }

  private static let words = RandomWords()

  private static func digit(_ word: UInt64, _ index: Int) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * index)) & 0xF
    return value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
