import FoundationEssentials
import StandardWebhooks

/// Verifies that a payment event comes from the payment provider.
package struct WebhookVerifier: Sendable {
  /// The largest difference between an event's timestamp and this server's clock, in seconds.
  ///
  /// An attacker can replay a captured event only during this time.
  static let toleranceSeconds: Int64 = 300

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
    guard let sentAt = Self.seconds(timestamp) else { return .timestampInvalid }
    // The sender may send any number, so the subtraction may overflow.
    let (age, overflow) = now.subtractingReportingOverflow(sentAt)
    guard !overflow, -Self.toleranceSeconds...Self.toleranceSeconds ~= age else {
      return .timestampOff(seconds: overflow ? .min : age)
    }
    let codes = Self.codes(in: signatures)
    // One HMAC is computed for each secret, not for each signature.
    let isSigned =
      !codes.isEmpty && secrets.contains { $0.signs(anyOf: codes, id: id, timestamp: timestamp, body: body) }
    return isSigned ? nil : .noSignatureFits
  }

  /// Nil unless the text is the shortest decimal form of a number. `+5` and `05` are nil.
  private static func seconds(_ timestamp: String) -> Int64? {
    guard timestamp.utf8.count <= 19, let seconds = Int64(timestamp), seconds >= 0,
      String(seconds).isVerbatim(timestamp)
    else { return nil }
    return seconds
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

extension WebhookVerifier.Refusal {
  /// The word for this reason in logs.
  var reason: String {
    switch self {
    case .headerMissing: "header_missing"
    case .idTooLong: "id_too_long"
    case .timestampInvalid: "timestamp_invalid"
    case .timestampOff: "timestamp_off"
    case .noSignatureFits: "no_signature_fits"
    }
  }

  /// What is wrong, for the sender.
  var detail: String {
    switch self {
    case .headerMissing(let name): "The header \(name) is missing."
    case .idTooLong: "The header webhook-id has more than \(WebhookVerifier.maximumIDLength) bytes."
    case .timestampInvalid: "The header webhook-timestamp is not a time in Unix seconds."
    case .timestampOff(let seconds):
      "The header webhook-timestamp is \(seconds.magnitude) s \(seconds > 0 ? "behind" : "ahead of") "
        + "this server's clock; at most \(WebhookVerifier.toleranceSeconds) s are allowed."
    case .noSignatureFits:
      "No signature in webhook-signature matches the body, webhook-id and webhook-timestamp."
    }
  }
}
