import FoundationEssentials

/// Decides whether a payment event comes from the provider.
public struct WebhookVerifier: Sendable {
  /// How far the sender's clock may be from ours, either way, in seconds: what an attacker can replay is this old at most.
  static let toleranceSeconds: Int64 = 300

  /// As many signatures are looked at. A sender has one for each of its own secrets, two while it rotates them.
  static let maximumSignatures = 16

  /// In bytes of UTF-8. Senders use UUIDs and the like.
  static let maximumIDLength = 255

  private let secrets: [WebhookSecret]

  /// - Parameter secrets: any of them may match, so that they can be rotated.
  public init(secrets: [WebhookSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// What is signed is `id.timestamp.body`, in which an id with dots leaves open where it ends. Nobody gains by that: the
  /// timestamp is digits alone, so that a dot moved to the left or right leaves a body that is not a JSON object.
  ///
  /// - Parameters:
  ///   - signatures: the value of `webhook-signature`: entries like `v1,<Base64>`, separated by spaces.
  ///   - now: Unix seconds.
  func isAuthentic(
    id: String?, timestamp: String?, signatures: String?, body: some DataProtocol, now: Int64
  ) -> Bool {
    guard let id, 1...Self.maximumIDLength ~= id.utf8.count, let timestamp, let signatures else { return false }
    guard let sentAt = Self.seconds(timestamp) else { return false }
    // Computed without overflow, whatever number the sender made up.
    let (age, overflow) = now.subtractingReportingOverflow(sentAt)
    guard !overflow, -Self.toleranceSeconds...Self.toleranceSeconds ~= age else { return false }
    let codes = Self.codes(in: signatures)
    // Each secret is computed with once, however many signatures there are.
    return !codes.isEmpty
      && secrets.contains { $0.signs(anyOf: codes, id: id, timestamp: timestamp, body: body) }
  }

  /// Nil for other ways of writing a number than its digits, such as +5 and 05.
  private static func seconds(_ timestamp: String) -> Int64? {
    guard timestamp.utf8.count <= 19, let seconds = Int64(timestamp), seconds >= 0, String(seconds) == timestamp else {
      return nil
    }
    return seconds
  }

  /// The codes of the signatures of a kind that is known and in the one way of writing that Base64 has for them: decoders
  /// ignore the last two bits of a code this long, so that four texts would stand for the same.
  private static func codes(in signatures: String) -> [Data] {
    signatures.split(separator: " ", maxSplits: maximumSignatures).prefix(maximumSignatures).compactMap { entry in
      guard entry.utf8.count == "v1,".utf8.count + WebhookSecret.encodedCodeLength, entry.hasPrefix("v1,") else {
        return nil
      }
      let text = String(entry.dropFirst("v1,".count))
      guard let code = Data(base64Encoded: text), code.base64EncodedString() == text else { return nil }
      return code
    }
  }
}
