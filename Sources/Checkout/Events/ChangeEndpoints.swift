import FoundationEssentials
import Postgres
import Secrets

/// Lists endpoints, the oldest first. Without an id, all of them.
struct ListEndpoints: PreparedStatement {
  static let name = "list_endpoints"
  static let sql = "select * from flashsale.list_endpoints($1::uuid)"
  static let isCancellable = true
  var id: EndpointID?

  func bind(to parameters: inout Parameters) { parameters.append(id?.uuid) }
  static func decode(_ row: inout Row) throws -> WebhookEndpoint { try WebhookEndpoint(&row) }
}

/// Gives an endpoint a new secret. The old one signs, too, for 24 hours. Returns whether the endpoint exists.
struct RotateEndpointSecret: PreparedStatement {
  static let name = "rotate_endpoint_secret"
  static let sql = "select * from flashsale.rotate_endpoint_secret($1::uuid, $2::text, $3::text, $4::text)"
  let id: EndpointID
  /// Made before the call, so that it can run again after a lost answer.
  let secret = EndpointSecret.new()
  let author: ChangeAuthor

  func bind(to parameters: inout Parameters) {
    parameters.append(id.uuid)
    parameters.append(secret.revealed())
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  static func decode(_ row: inout Row) throws -> Bool { try row.decode() }
}

/// Makes an event for an endpoint alone. Returns its id, or no row for an unknown endpoint.
struct TestEndpoint: PreparedStatement {
  static let name = "test_endpoint"
  static let sql = "select * from flashsale.test_endpoint($1::uuid)"
  let id: EndpointID

  func bind(to parameters: inout Parameters) { parameters.append(id.uuid) }
  static func decode(_ row: inout Row) throws -> EventID { EventID(try row.decode()) }
}

/// Sends an event again. Returns to how many endpoints, or no row for an unknown event.
struct RedeliverEvent: PreparedStatement {
  static let name = "redeliver_event"
  static let sql = "select * from flashsale.redeliver_event($1::integer, $2::uuid, $3::text, $4::text)"
  let id: EventID
  let author: ChangeAuthor

  func bind(to parameters: inout Parameters) {
    parameters.append(id.productID)
    parameters.append(id.uuid)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  static func decode(_ row: inout Row) throws -> Int32 { try row.decode() }
}

/// Reads the types of events that the feed records.
struct ReadEventFeed: PreparedStatement {
  static let name = "read_event_feed"
  static let sql = "select * from flashsale.read_event_feed()"

  func bind(to parameters: inout Parameters) {}
  static func decode(_ row: inout Row) throws -> [String] { try row.decode() }
}

/// Sets them.
struct SetEventFeed: PreparedStatement {
  static let name = "set_event_feed"
  static let sql = "select * from flashsale.set_event_feed($1::text[], $2::text, $3::text)"
  let events: [EventPattern]
  let author: ChangeAuthor

  func bind(to parameters: inout Parameters) {
    parameters.append(events.map(\.text))
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  static func decode(_ row: inout Row) throws -> [String] { try row.decode() }
}
