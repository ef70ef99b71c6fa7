import Crypto
import FoundationEssentials
import Secrets

/// A key with which the shop signs customer tokens: HMAC with SHA-256 (HS256; RFC 7518, section 3.2).
package struct CustomerTokenKey: Sendable, Redacted {
  /// The `kid` of the tokens that this key signs.
  package let id: String
  /// The state of the HMAC after the key. Each token starts with a copy, so the key is hashed once.
  private let keyed: HMAC<SHA256>

  /// The shortest key, in bytes. RFC 7518 requires the length of the hash.
  package static let minimumKeyBytes = 32

  /// - Parameter text: the `kid`, a colon, and the key in Base64. Nil if the format is wrong, or if the key is shorter
  ///   than `minimumKeyBytes`.
  package init?(_ text: String) {
    // Base64 has no colon, so a colon may be part of the `kid`.
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), colon > text.startIndex,
      text.utf8[..<colon].allSatisfy({ 0x21...0x7E ~= $0 && $0 != UInt8(ascii: ",") }),
      let key = Data(base64Encoded: String(decoding: text.utf8[colon...].dropFirst(), as: UTF8.self)),
      key.count >= Self.minimumKeyBytes
    else { return nil }
    id = String(text[..<colon])
    keyed = HMAC<SHA256>(key: SymmetricKey(data: key))
  }

  /// Whether the signature is the HMAC of the message. The comparison takes constant time.
  func signs(_ message: ArraySlice<UInt8>, with signature: [UInt8]) -> Bool {
    var hmac = keyed
    hmac.update(data: message)
    return hmac.finalize() == signature
  }
}
