import Crypto
import FoundationEssentials
import Secrets

/// Signs and verifies messages by Stripe's scheme `v1` (https://docs.stripe.com/webhooks/signature).
///
/// A signature is the HMAC-SHA256 of `timestamp.body` in lower-case hexadecimal digits. `body` is the raw bytes of the
/// request. Unlike in Standard Webhooks, the key is the text of the secret, with its prefix.
package struct StripeSecret: Sendable, Redacted {
  /// The state of the HMAC after the key. Each message starts with a copy, so the key is hashed once.
  private let keyed: HMAC<SHA256>

  /// The shortest text after the prefix, in characters. An attacker could find a shorter one by brute force.
  package static let minimumLength = 16

  /// - Parameter text: `whsec_` and at least `minimumLength` visible ASCII characters. Nil if the format is wrong.
  package init?(_ text: String) {
    let prefix = "whsec_"
    guard text.utf8.starts(with: prefix.utf8), text.utf8.count >= prefix.utf8.count + Self.minimumLength,
      text.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
    else { return nil }
    keyed = HMAC<SHA256>(key: SymmetricKey(data: Data(text.utf8)))
  }

  /// The value of `Stripe-Signature`.
  ///
  /// - Parameter timestamp: in Unix seconds.
  package func header(timestamp: Int64, body: some DataProtocol) -> String {
    let digits = code(of: body, timestamp: String(timestamp)).map {
      String($0 >> 4, radix: 16) + String($0 & 0xF, radix: 16)
    }
    return "t=\(timestamp),v1=\(digits.joined())"
  }

  /// Whether one of the codes is the HMAC of the message. Each comparison takes constant time.
  func signs(anyOf codes: [Data], timestamp: String, body: some DataProtocol) -> Bool {
    let expected = code(of: body, timestamp: timestamp)
    return codes.contains { expected == $0 }
  }

  private func code(of body: some DataProtocol, timestamp: String) -> HMAC<SHA256>.MAC {
    var hmac = keyed
    hmac.update(data: Data("\(timestamp).".utf8))
    hmac.update(data: body)
    return hmac.finalize()
  }
}
