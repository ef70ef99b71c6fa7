import Checkout
import NIOCore
import Secrets

/// Endpoints, events and deliveries as the API and the command line show them.
extension JSONObject {
  /// - Parameter secret: only the response to the request that made it shows it.
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

  /// As the body of a webhook: see `claim_deliveries`.
  mutating func add(_ event: Event) {
    add("id", event.id.text)
    add("type", event.type)
    add("timestamp", event.createdAt.rfc3339)
    add("data", json: event.data)
  }

  mutating func add(_ delivery: DeliveryRecord) {
    add("event_id", delivery.eventID.text)
    add("type", delivery.type)
    add("object_id", delivery.objectID)
    add("endpoint_id", delivery.endpointID.text)
    add("status", delivery.status.rawValue)
    add("attempts", delivery.attempts)
    add("next_attempt_at", delivery.nextAt?.rfc3339)
    add("created_at", delivery.createdAt.rfc3339)
    add("last_attempt_at", delivery.lastAttemptAt?.rfc3339)
    add("status_code", delivery.statusCode)
    add("error", delivery.error)
  }

  /// The text of an object that `write` fills.
  fileprivate static func text(_ write: (inout JSONObject) -> Void) -> String {
    var object = JSONObject()
    write(&object)
    return String(buffer: object.finished())
  }
}

// One object for each entry, for `--json` of the commands.

extension WebhookEndpoint {
  package var json: String { JSONObject.text { $0.add(self) } }
}

extension Event {
  package var json: String { JSONObject.text { $0.add(self) } }
}

extension DeliveryRecord {
  package var json: String { JSONObject.text { $0.add(self) } }
}
