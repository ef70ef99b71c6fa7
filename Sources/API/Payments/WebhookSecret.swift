import Crypto
import FoundationEssentials
import Secrets

/// Signs and checks messages by the Standard Webhooks scheme (standardwebhooks.com, specification 1.0.0): HMAC-SHA256
/// with a shared secret over `id.timestamp.body`, the raw bytes as they travel.
package struct WebhookSecret: Sendable, Redacted {
  /// Has taken in the key, which need not be done again for each message.
  private let keyed: HMAC<SHA256>

  /// Shorter keys could be found by trying.
  package static let minimumKeyBytes = 16

  /// - Parameter text: `whsec_` and the key in Base64. Nil when it is not that, or the key has less than
  ///   `minimumKeyBytes`.
  package init?(_ text: String) {
    let prefix = "whsec_"
    guard text.utf8.starts(with: prefix.utf8),
      let bytes = Data(base64Encoded: String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)),
      bytes.count >= Self.minimumKeyBytes
    else { return nil }
    keyed = HMAC<SHA256>(key: SymmetricKey(data: bytes))
  }

  /// The value of `webhook-signature`.
  ///
  /// - Parameter timestamp: Unix seconds, as in `webhook-timestamp`.
  package func signature(id: String, timestamp: Int64, body: some DataProtocol) -> String {
    var hmac = keyed
    Self.update(&hmac, id: id, timestamp: String(timestamp), body: body)
    return "v1," + Data(hmac.finalize()).base64EncodedString()
  }

  /// The length of a code in Base64: that of 32 bytes.
  static let encodedCodeLength = 44

  /// Compares in a time that does not depend on where two codes differ.
  func signs(anyOf codes: [Data], id: String, timestamp: String, body: some DataProtocol) -> Bool {
    var hmac = keyed
    Self.update(&hmac, id: id, timestamp: timestamp, body: body)
    let expected = hmac.finalize()
    return codes.contains { expected == $0 }
  }

  private static func update(_ hmac: inout HMAC<SHA256>, id: String, timestamp: String, body: some DataProtocol) {
    hmac.update(data: Data("\(id).\(timestamp).".utf8))
    hmac.update(data: body)
  }
}
