import FoundationEssentials
import Postgres
import Secrets
import Time

/// Creates an endpoint. Its id and secret are made before the call, so that it can run again after a lost answer.
package struct CreateEndpoint: PreparedStatement {
  package static let name = "create_endpoint"
  package static let sql = """
    select * from flashsale.create_endpoint(
      $1::uuid, $2::text, $3::text[], $4::text, $5::text, $6::text, $7::text)
    """

  package enum Outcome: Sendable, Equatable {
    case created(at: Timestamp)
    /// There are as many endpoints as there can be.
    case tooMany
  }

  let id = EndpointID(UUID())
  let secret = EndpointSecret.new()
  private let url: String
  private let events: [EventPattern]
  private let endpointDescription: String?
  /// For the log of changes.
  var author = ChangeAuthor.commandLine

  /// - Parameters:
  ///   - url: 1 to 2048 characters. The caller has checked that events may be sent there.
  ///   - events: at least one.
  ///   - description: 1 to 255 characters, or nil.
  package init(url: String, events: [EventPattern], description: String? = nil) {
    self.url = url
    self.events = events
    endpointDescription = description
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(id.uuid)
    parameters.append(url)
    parameters.append(events.map(\.text))
    parameters.append(endpointDescription)
    parameters.append(secret.revealed())
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Outcome {
    switch try row.decodeCase(Word.self) {
    case .created: .created(at: try row.decode())
    case .tooMany: .tooMany
    }
  }

  /// The endpoint that the call created.
  func endpoint(createdAt: Timestamp) -> WebhookEndpoint {
    WebhookEndpoint(
      id: id, url: url, events: events.map(\.text), description: endpointDescription, status: .enabled,
      disabledReason: nil, createdAt: createdAt, failures: 0, failingSince: nil)
  }

  /// The outcome in SQL.
  private enum Word: String {
    case created
    case tooMany = "too_many"
  }
}

/// The secrets of endpoints, in the form of Standard Webhooks: `whsec_` and the base64 of 24 random bytes.
package enum EndpointSecret {
  private static let byteCount = 24

  /// The system's generator is cryptographically secure (getrandom(2)).
  package static func new() -> Secret {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    return Secret("whsec_" + Data(bytes).base64EncodedString())
  }
}
