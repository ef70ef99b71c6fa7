import API
import StandardWebhooks

/// The secrets of payment providers; see docs/payments.md.
extension Settings {
  func webhookSecrets() throws -> [WebhookSecret] {
    try secrets(
      "WEBHOOK_SECRETS", "a key of at least \(WebhookSecret.minimumKeyBytes) bytes in Base64", WebhookSecret.init)
  }

  /// The secrets of Stripe's endpoints. Empty if the server receives no events of Stripe.
  func stripeWebhookSecrets() throws -> [StripeSecret] {
    try secrets(
      "STRIPE_WEBHOOK_SECRETS", "at least \(StripeSecret.minimumLength) characters, as Stripe shows it",
      StripeSecret.init)
  }

  /// - Parameters:
  ///   - format: what follows `whsec_`, for a person.
  ///   - parse: returns nil if the format is wrong.
  private func secrets<Parsed>(_ name: String, _ format: String, _ parse: (String) -> Parsed?) throws -> [Parsed] {
    guard let list = try secret(name) else { return [] }
    // An empty entry is refused. It may be an unset variable, and must not turn off signatures.
    return try list.revealed().split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let parsed = parse(text.trimmingWhiteSpace()) else {
        throw Failure("\(name) must be whsec_ and \(format); several secrets are separated by commas")
      }
      return parsed
    }
  }
}
