import Checkout
import Secrets

/// Endpoints, events and deliveries as the API and the command line show them.
extension JSONObject {
  /// - Parameter secret: only for the operator who has just made it.
  mutating func add(_ endpoint: WebhookEndpoint, secret: Secret) {
    add(endpoint)
    add("secret", secret.revealed())
  }

  mutating func add(_ endpoint: WebhookEndpoint) {
    add("id", endpoint.id.text)
    add("url", endpoint.url)
    add("events", strings: endpoint.events)
    add("description", endpoint.description)
    add("status", endpoint.status.rawValue)
    add("disabled_reason", endpoint.disabledReason?.rawValue)
    add("created_at", endpoint.createdAt.rfc3339)
    add("failures", endpoint.failures)
    add("failing_since", endpoint.failingSince?.rfc3339)
  }
}
