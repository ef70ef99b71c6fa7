import FoundationEssentials
import Secrets

/// Signs outgoing messages with all secrets of their receiver.
///
/// While a secret is rotated, a receiver has two. It accepts a message if one of the signatures fits.
package struct WebhookSigner: Sendable, Redacted {
  private let secrets: [WebhookSecret]

  /// - Parameter secrets: not empty, the current secret first.
  package init(_ secrets: [WebhookSecret]) {
    precondition(!secrets.isEmpty)
    self.secrets = secrets
  }

  /// The header fields of a message.
  ///
  /// - Parameters:
  ///   - id: the same in all attempts to deliver a message, so that the receiver can recognize a repeat.
  ///   - timestamp: the time of this attempt, in Unix seconds.
  ///   - body: the bytes that are sent.
  package func headers(
    id: String, timestamp: Int64, body: some DataProtocol
  ) -> [(name: String, value: String)] {
    let signatures = secrets.map { $0.signature(id: id, timestamp: timestamp, body: body) }
    return [
      ("webhook-id", id), ("webhook-timestamp", String(timestamp)),
      ("webhook-signature", signatures.joined(separator: " ")),
    ]
  }
}
