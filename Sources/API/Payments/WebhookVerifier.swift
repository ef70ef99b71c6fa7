import FoundationEssentials
import StandardWebhooks

/// Verifies that a payment event comes from the payment provider.
package struct WebhookVerifier: Sendable {
  /// The most signatures that are compared. A sender has one for each of its secrets, so two during a rotation.
  static let maximumSignatures = 16

  /// The longest id, in bytes. Senders use UUIDs or ids of similar length.
  static let maximumIDLength = 255

  /// Why the server refuses an event.
  enum Refusal: Equatable {
    /// - Parameter name: the name of the header that is absent or empty.
    case headerMissing(name: String)
    case idTooLong
    case timestampInvalid
    /// - Parameter seconds: the age of the event. Negative if its timestamp is in the future.
    case timestampOff(seconds: Int64)
    case noSignatureFits
  }

  private let secrets: [WebhookSecret]

  /// - Parameter secrets: not empty. A signature with any of them is valid, so that secrets can be rotated.
  package init(secrets: [WebhookSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// Checks the headers and the signature of an event.
  ///
  /// The sender signs `id.timestamp.body`, and an id may contain dots. That helps no attacker: the timestamp has only
  /// digits, so with any other split the body is not a JSON object.
  ///
  /// - Parameters:
  ///   - signatures: the value of `webhook-signature`: entries like `v1,<Base64>`, separated by spaces.
  ///   - now: Unix seconds.
  /// - Returns: nil if a signature is valid.
  func refusal(
    id: String?, timestamp: String?, signatures: String?, body: some DataProtocol, now: Int64
  ) -> Refusal? {
    guard let id, !id.utf8.isEmpty else { return .headerMissing(name: "webhook-id") }
    guard let timestamp, !timestamp.utf8.isEmpty else { return .headerMissing(name: "webhook-timestamp") }
    guard let signatures, !signatures.utf8.isEmpty else { return .headerMissing(name: "webhook-signature") }
    guard id.utf8.count <= Self.maximumIDLength else { return .idTooLong }
    guard let sentAt = SigningTime(timestamp) else { return .timestampInvalid }
    if let age = sentAt.excessiveAge(at: now) { return .timestampOff(seconds: age) }
    let codes = Self.codes(in: signatures)
    // One HMAC is computed for each secret, not for each signature.
    let isSigned =
      !codes.isEmpty && secrets.contains { $0.signs(anyOf: codes, id: id, timestamp: timestamp, body: body) }
    return isSigned ? nil : .noSignatureFits
  }

  /// The codes of all `v1` signatures in canonical Base64.
  ///
  /// Decoders ignore the last two bits of a text of this length, so four texts decode to the same code.
  private static func codes(in signatures: String) -> [Data] {
    let kind = "v1,".utf8
    let entries: [Substring.UTF8View] = signatures.utf8.split(
      separator: UInt8(ascii: " "), maxSplits: maximumSignatures, omittingEmptySubsequences: true)
    return entries.prefix(maximumSignatures).compactMap { entry in
      guard entry.count == kind.count + WebhookSecret.encodedCodeLength, entry.starts(with: kind) else { return nil }
      let text = String(decoding: entry.dropFirst(kind.count), as: UTF8.self)
      guard let code = Data(base64Encoded: text), code.base64EncodedString().isVerbatim(text) else { return nil }
      return code
    }
  }
}

extension WebhookVerifier.Refusal: SignatureRefusal {
  var reason: String {
    switch self {
    case .headerMissing: "header_missing"
    case .idTooLong: "id_too_long"
    case .timestampInvalid: "timestamp_invalid"
    case .timestampOff: "timestamp_off"
    case .noSignatureFits: "no_signature_fits"
    }
  }

  var detail: String {
    switch self {
    case .headerMissing(let name): "The header \(name) is missing."
    case .idTooLong: "The header webhook-id has more than \(WebhookVerifier.maximumIDLength) bytes."
    case .timestampInvalid: "The header webhook-timestamp is not a time in Unix seconds."
    case .timestampOff(let seconds): SigningTime.detail("The header webhook-timestamp", isOff: seconds)
    case .noSignatureFits:
      "No signature in webhook-signature matches the body, webhook-id and webhook-timestamp."
    }
  }
}
