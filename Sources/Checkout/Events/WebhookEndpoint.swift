import Postgres
import Time

/// Where events are sent. Its secret is not in it: only creation and rotation show it.
package struct WebhookEndpoint: Sendable, Equatable {
  package enum Status: String, Sendable, CaseIterable {
    case enabled, disabled
  }

  /// Why an endpoint is disabled.
  package enum DisabledReason: String, Sendable, CaseIterable {
    /// An operator disabled it.
    case `operator`
    /// It answered 410.
    case gone
    /// It failed for three days. Its events are kept.
    case failing
  }

  package let id: EndpointID
  package let url: String
  /// As the operator named them: see `EventPattern`.
  package let events: [String]
  package let description: String?
  package let status: Status
  /// Nil while it is enabled.
  package let disabledReason: DisabledReason?
  package let createdAt: Timestamp
  /// In a row.
  package let failures: Int32
  /// When the first of them was; nil without failures.
  package let failingSince: Timestamp?
}

extension WebhookEndpoint {
  /// Reads the columns of `list_endpoints`.
  init(_ row: inout Row) throws {
    self.init(
      id: EndpointID(try row.decode()), url: try row.decode(), events: try row.decode(),
      description: try row.decodeIfPresent(), status: try row.decodeCase(),
      disabledReason: try row.decodeCaseIfPresent(), createdAt: try row.decode(), failures: try row.decode(),
      failingSince: try row.decodeIfPresent())
  }
}
