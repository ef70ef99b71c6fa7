import Crypto
import FoundationEssentials
import Secrets

/// Signs and verifies messages by Standard Webhooks (https://www.standardwebhooks.com, specification 1.0.0).
///
/// A signature is the HMAC-SHA256 of `id.timestamp.body` with a shared secret. `body` is the raw bytes of the request.
package struct WebhookSecret: Sendable, Redacted {
  /// The state of the HMAC after the key. Each message starts with a copy, so the key is hashed once.
  private let keyed: HMAC<SHA256>

  /// The shortest key, in bytes. An attacker could find a shorter key by brute force.
  package static let minimumKeyBytes = 16

  /// - Parameter text: `whsec_` and the key in Base64. Nil if the format is wrong, or if the key is shorter than
  ///   `minimumKeyBytes`.
  package init?(_ text: String) {
    let prefix = "whsec_"
    guard text.utf8.starts(with: prefix.utf8),
      let bytes = Data(base64Encoded: String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)),
      bytes.count >= Self.minimumKeyBytes
    else { return nil }
    keyed = HMAC<SHA256>(key: SymmetricKey(data: bytes))
  }

  /// The value of `webhook-signature`: `v1,` and the HMAC in Base64.
  ///
  /// - Parameters:
  ///   - id: the value of `webhook-id`.
  ///   - timestamp: the value of `webhook-timestamp`, in Unix seconds.
  package func signature(id: String, timestamp: Int64, body: some DataProtocol) -> String {
    var hmac = keyed
    Self.update(&hmac, id: id, timestamp: String(timestamp), body: body)
    return "v1," + Data(hmac.finalize()).base64EncodedString()
  }

  /// The length of an HMAC of 32 bytes in Base64.
  package static let encodedCodeLength = 44

  /// Whether one of the codes is the HMAC of the message. Each comparison takes constant time.
  package func signs(anyOf codes: [Data], id: String, timestamp: String, body: some DataProtocol) -> Bool {
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
