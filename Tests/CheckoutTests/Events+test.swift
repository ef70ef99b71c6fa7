import Foundation
import Postgres
import TestSupport

@testable import Checkout

/// An event as the table has it.
struct StoredEvent: Sendable {
  let type: String
  let objectID: String
  let version: Int32
  /// A JSON object.
  let data: String

  /// A member of the data, as text. Nil when it is null or missing.
  func member(_ name: String) throws -> String? {
    let object = try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any]
    guard let value = object?[name], !(value is NSNull) else { return nil }
    return "\(value)"
  }
}

extension Pool {
  /// All events in the order in which they were written. Dispatches them first. A transaction under way in another database
  /// hides none of them, as it would in the feed.
  func events(like type: String = "%") async throws -> [StoredEvent] {
    try await run("select dispatch_events(1000)")
    return try await execute(ReadStoredEvents(type: type))
  }

  /// The types and versions of these events.
  func eventNames(like type: String = "%") async throws -> [String] {
    try await events(like: type).map { "\($0.type) \($0.version)" }
  }
}

private struct ReadStoredEvents: PreparedStatement {
  static let name = "read_stored_events"
  static let sql = """
    select type, object_id, version, data::text from flashsale.events where type like $1::text
    order by created_at, version
    """
  let type: String
  func bind(to parameters: inout Parameters) { parameters.append(type) }
  static func decode(_ row: inout Row) throws -> StoredEvent {
    StoredEvent(
      type: try row.decode(), objectID: try row.decode(), version: try row.decode(), data: try row.decode())
  }
}

extension ChangeAuthor {
  static let tester = ChangeAuthor(name: "tester", requestID: nil)
}

extension Checkout {
  /// Creates an endpoint that wants these types.
  @discardableResult
  func subscribe(_ types: String...) async throws -> WebhookEndpoint {
    let patterns = types.compactMap { EventPattern(text: $0) }
    guard patterns.count == types.count else { throw Unexpected("\(types) are no types") }
    let creation = try await createEndpoint(
      CreateEndpoint(url: "https://shop.example/events", events: patterns), by: .tester)
    guard case .created(let endpoint, _) = creation else { throw Unexpected("\(creation)") }
    return endpoint
  }

  /// Claims deliveries under a new lease.
  func claim(_ limit: Int32 = 100) async throws -> Claim {
    let leaseID = UUID()
    let claimed = try await claimDeliveries(leaseID: leaseID, limit: limit)
    return Claim(leaseID: leaseID, deliveries: claimed.deliveries, untilNext: claimed.untilNext)
  }

  /// Records the same result for each delivery of a claim.
  func record(_ claim: Claim, _ statusCode: Int32?, error: String? = nil, retryAfter: Duration? = nil) async throws {
    try await recordDeliveries(
      claim.deliveries.map {
        DeliveryResult(of: $0, statusCode: statusCode, error: error, retryAfter: retryAfter)
      }, leaseID: claim.leaseID)
  }

  func enable(_ id: EndpointID, _ status: WebhookEndpoint.Status = .enabled) async throws -> WebhookEndpoint? {
    var change = UpdateEndpoint(id: id)
    change.status = status
    return try await updateEndpoint(change, by: .tester)
  }
}

struct Claim: Sendable {
  let leaseID: UUID
  let deliveries: [Delivery]
  let untilNext: Duration?
}
