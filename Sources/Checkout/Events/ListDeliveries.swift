import FoundationEssentials
import Postgres
import Time

/// The delivery of an event to an endpoint, as operators see it.
package struct DeliveryRecord: Sendable, Equatable {
  package enum Status: String, Sendable, CaseIterable {
    case pending, delivered, failed
  }

  package let eventID: EventID
  package let type: String
  /// As in `Event`.
  package let objectID: String
  package let endpointID: EndpointID
  package let status: Status
  /// The number of attempts, with the one that is under way.
  package let attempts: Int32
  /// When the next attempt is due; nil unless it is pending. Of a delivery that is leased, when the lease ends.
  package let nextAt: Timestamp?
  /// Whether a server tries it now.
  package let isLeased: Bool
  package let createdAt: Timestamp
  /// When the last attempt ended; nil before that.
  package let lastAttemptAt: Timestamp?
  /// Of the last attempt; nil without a response.
  package let statusCode: Int32?
  /// Why the last attempt had no response.
  package let error: String?
}

/// A page of deliveries, newest first.
package struct DeliveryPage: Sendable {
  package let deliveries: [DeliveryRecord]
  /// The start of the next page; nil on the last page.
  package let next: Cursor?

  /// The position after the last delivery of a page. Opaque to clients.
  package struct Cursor: Sendable, Equatable {
    let createdAt: Timestamp
    let eventID: EventID
    let endpointID: EndpointID

    init(after delivery: DeliveryRecord) {
      createdAt = delivery.createdAt
      eventID = delivery.eventID
      endpointID = delivery.endpointID
    }

    package var text: String { "\(createdAt.microsecondsSince1970)-\(eventID.text)-\(endpointID.text)" }

    /// Nil when the text is no cursor.
    package init?(text: String) {
      let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
      guard parts.count == 3, parts[0].allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
        let microseconds = Int64(String(Substring(parts[0]))), microseconds < Self.endOfTime,
        let eventID = EventID(text: String(Substring(parts[1]))),
        let endpointID = EndpointID(text: String(Substring(parts[2])))
      else { return nil }
      createdAt = Timestamp(microsecondsSince1970: microseconds)
      self.eventID = eventID
      self.endpointID = endpointID
    }

    /// The start of the year 10000, in microseconds since 1970. PostgreSQL refuses times outside its range.
    private static let endOfTime: Int64 = 253_402_300_800_000_000
  }
}

/// Lists deliveries, newest first, starting after `cursor`.
struct ListDeliveries: PreparedStatement {
  static let name = "list_deliveries"
  static let sql = """
    select * from flashsale.list_deliveries(
      $1::uuid, $2::text, $3::integer, $4::uuid, $5::timestamptz, $6::uuid, $7::uuid, $8::integer)
    """
  static let isCancellable = true

  /// The number of deliveries on a page. It limits the size of a response.
  static let pageSize = 100

  let endpointID: EndpointID?
  let status: DeliveryRecord.Status?
  let eventID: EventID?
  let cursor: DeliveryPage.Cursor?

  func bind(to parameters: inout Parameters) {
    parameters.append(endpointID?.uuid)
    parameters.append(status?.rawValue)
    parameters.append(eventID?.productID)
    parameters.append(eventID?.uuid)
    parameters.append(cursor?.createdAt)
    parameters.append(cursor?.eventID.uuid)
    parameters.append(cursor?.endpointID.uuid)
    parameters.append(Int32(Self.pageSize + 1))
  }

  static func decode(_ row: inout Row) throws -> DeliveryRecord {
    DeliveryRecord(
      eventID: EventID(try row.decode()), type: try row.decode(), objectID: try row.decode(),
      endpointID: EndpointID(try row.decode()), status: try row.decodeCase(), attempts: try row.decode(),
      nextAt: try row.decodeIfPresent(), isLeased: try row.decode(), createdAt: try row.decode(),
      lastAttemptAt: try row.decodeIfPresent(), statusCode: try row.decodeIfPresent(),
      error: try row.decodeIfPresent())
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func page(from database: Pool) async throws -> DeliveryPage {
    // The query returns one more delivery than a page has, if there is another page.
    let found = try await database.execute(self)
    let deliveries = Array(found.prefix(Self.pageSize))
    return DeliveryPage(
      deliveries: deliveries, next: found.count > deliveries.count ? deliveries.last.map { .init(after: $0) } : nil)
  }
}
