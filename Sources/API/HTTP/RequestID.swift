import Checkout

/// The id of a request, in log lines and in `X-Request-Id`.
///
/// It is the client's own id if that is valid, else 32 random hexadecimal digits.
enum RequestID {
  /// The longest id of a client, in bytes. A UUID or a trace id with a prefix fits.
  private static let maximumLength = 128

  /// - Parameter given: the request's `X-Request-Id`. Nil if there is none.
  static func ofRequest(with given: String?) -> String {
    if let given, isValid(given) { given } else { random() }
  }

  /// Whether a client's id can be written to logs and to a header without further checks.
  private static func isValid(_ id: String) -> Bool {
    1...maximumLength ~= id.utf8.count && id.utf8.allSatisfy { 0x21...0x7E ~= $0 }
  }

  /// A random id from the kernel's generator. Ids must not reveal other ids, or the number of requests.
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
