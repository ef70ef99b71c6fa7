import FoundationEssentials

/// Decides whether a payment event comes from the provider.
package struct WebhookVerifier: Sendable {
  /// How far the sender's clock may be from ours, either way, in seconds: what an attacker can replay is this old at most.
  static let toleranceSeconds: Int64 = 300

  /// As many signatures are looked at. A sender has one for each of its own secrets, two while it rotates them.
  static let maximumSignatures = 16

  /// In bytes of UTF-8. Senders use UUIDs and the like.
  static let maximumIDLength = 255

  /// Why an event is not taken for the provider's.
  enum Refusal: Equatable {
    /// - Parameter name: of the header, which is absent or empty.
    case headerMissing(name: String)
    case idTooLong
    case timestampInvalid
    /// - Parameter seconds: how much older the event is than now; negative for one that is younger.
    case timestampOff(seconds: Int64)
    case noSignatureFits
  }

  private let secrets: [WebhookSecret]

  /// - Parameter secrets: any of them may match, so that they can be rotated.
  package init(secrets: [WebhookSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// What is signed is `id.timestamp.body`, in which an id with dots leaves open where it ends. Nobody gains by that: the
  /// timestamp is digits alone, so that a dot moved to the left or right leaves a body that is not a JSON object.
  ///
  /// - Parameters:
  ///   - signatures: the value of `webhook-signature`: entries like `v1,<Base64>`, separated by spaces.
  ///   - now: Unix seconds.
  /// - Returns: nil when the event is the provider's.
  func refusal(
    id: String?, timestamp: String?, signatures: String?, body: some DataProtocol, now: Int64
  ) -> Refusal? {
    guard let id, !id.utf8.isEmpty else { return .headerMissing(name: "webhook-id") }
    guard let timestamp, !timestamp.utf8.isEmpty else { return .headerMissing(name: "webhook-timestamp") }
    guard let signatures, !signatures.utf8.isEmpty else { return .headerMissing(name: "webhook-signature") }
    guard id.utf8.count <= Self.maximumIDLength else { return .idTooLong }
    guard let sentAt = Self.seconds(timestamp) else { return .timestampInvalid }
    // Computed without overflow, whatever number the sender made up.
    let (age, overflow) = now.subtractingReportingOverflow(sentAt)
    guard !overflow, -Self.toleranceSeconds...Self.toleranceSeconds ~= age else {
      return .timestampOff(seconds: overflow ? .min : age)
    }
    let codes = Self.codes(in: signatures)
    // Each secret is computed with once, however many signatures there are.
    let isSigned =
      !codes.isEmpty && secrets.contains { $0.signs(anyOf: codes, id: id, timestamp: timestamp, body: body) }
    return isSigned ? nil : .noSignatureFits
  }

  /// Nil for other ways of writing a number than its digits, such as +5 and 05.
  private static func seconds(_ timestamp: String) -> Int64? {
    guard timestamp.utf8.count <= 19, let seconds = Int64(timestamp), seconds >= 0,
      String(seconds).isVerbatim(timestamp)
    else { return nil }
    return seconds
  }

  /// The codes of the signatures of a kind that is known and in the one way of writing that Base64 has for them: decoders
  /// ignore the last two bits of a code this long, so that four texts would stand for the same.
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
  /// For the log, where each reason is told now and then.
  var reason: String {
    switch self {
    case .headerMissing: "header_missing"
    case .idTooLong: "id_too_long"
    case .timestampInvalid: "timestamp_invalid"
    case .timestampOff: "timestamp_off"
    case .noSignatureFits: "no_signature_fits"
    }
  }

  /// What the sender can do about it.
  var detail: String {
    switch self {
    case .headerMissing(let name): "The header \(name) is missing."
    case .idTooLong: "The header webhook-id has more than \(WebhookVerifier.maximumIDLength) bytes."
    case .timestampInvalid: "The header webhook-timestamp is not a time in Unix seconds."
    case .timestampOff(let seconds):
      "The header webhook-timestamp is \(seconds.magnitude) s \(seconds > 0 ? "behind" : "ahead of") this server's clock; "
        + "at most \(WebhookVerifier.toleranceSeconds) s are allowed."
    case .noSignatureFits: "No signature in webhook-signature fits the body, webhook-id and webhook-timestamp."
    }
  }
}
