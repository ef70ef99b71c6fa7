import FoundationEssentials

/// Decides whether a payment event comes from the provider.
public struct WebhookVerifier: Sendable {
  /// How far the sender's clock may be from ours, either way, in seconds: what an attacker can replay is this old at most.
  static let toleranceSeconds: Int64 = 300

  private let secrets: [WebhookSecret]

  /// - Parameter secrets: any of them may match, so that they can be rotated.
  public init(secrets: [WebhookSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// - Parameters:
  ///   - signatures: the value of `webhook-signature`: entries like `v1,<Base64>`, separated by spaces.
  ///   - now: Unix seconds.
  func isAuthentic(
    id: String?, timestamp: String?, signatures: String?, body: some DataProtocol, now: Int64
  ) -> Bool {
    guard let id, !id.isEmpty, let timestamp, let signatures else { return false }
    guard let sentAt = Int64(timestamp) else { return false }
    // Both differences are computed without overflow, whatever number the sender made up.
    let (age, overflow) = now.subtractingReportingOverflow(sentAt)
    guard !overflow, -Self.toleranceSeconds...Self.toleranceSeconds ~= age else { return false }
    return signatures.split(separator: " ").contains { entry in
      guard entry.hasPrefix("v1,"), let code = Data(base64Encoded: String(entry.dropFirst("v1,".count))) else {
        return false
      }
      return secrets.contains { $0.isValid(code, id: id, timestamp: timestamp, body: body) }
    }
  }
}
