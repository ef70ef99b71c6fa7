import Secrets

/// The keys of operators and the tokens of sessions. Each has 192 random bits, as hexadecimal digits.
package enum AdminSecret {
  private static let byteCount = 24
  private static let keyPrefix = "fsk_"

  /// A new key.
  package static func newKey() -> Secret { Secret(keyPrefix + randomDigits()) }

  /// A new token of a session.
  static func newSessionToken() -> Secret { Secret(randomDigits()) }

  /// Whether the text can be a key. Other texts need no look-up in the database.
  package static func isKey(_ text: String) -> Bool {
    text.utf8.starts(with: keyPrefix.utf8) && areDigits(text.utf8.dropFirst(keyPrefix.utf8.count))
  }

  /// Whether the text can be the token of a session.
  package static func isSessionToken(_ text: String) -> Bool { areDigits(text.utf8[...]) }

  /// The system's generator is cryptographically secure (getrandom(2)).
  private static func randomDigits() -> String {
    var generator = SystemRandomNumberGenerator()
    return (0..<byteCount).map { _ in
      let byte = UInt8.random(in: .min ... .max, using: &generator)
      return (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
  }

  private static func areDigits(_ bytes: Substring.UTF8View) -> Bool {
    bytes.count == 2 * byteCount
      && bytes.allSatisfy {
        UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
      }
  }
}
