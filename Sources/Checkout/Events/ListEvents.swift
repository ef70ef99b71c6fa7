import FoundationEssentials
import Postgres
import Time

/// What happened to an object, as the feed and the endpoints tell it.
package struct Event: Sendable, Equatable {
  package let id: EventID
  /// One of `EventType`, as text.
  package let type: String
  package let productID: Int32
  /// The id of an order or hold, the number of a product, or the idempotency key of a payment event.
  package let objectID: String
  package let createdAt: Timestamp
  /// The object as the API shows it, with its version: a JSON object.
  package let data: String
}

/// A page of the feed, oldest first.
package struct EventPage: Sendable {
  package let events: [Event]
  /// Where to read on, on the last page, too: later events come after it. Nil when there is no event and the request had no
  /// cursor.
  package let next: Cursor?
  /// Whether the next page has events already.
  package let hasMore: Bool

  /// The position after the last event of a page. Opaque to clients.
  package struct Cursor: Sendable, Equatable {
    let transactionID: Int64
    let eventID: EventID

    package var text: String { "\(transactionID)-\(eventID.text)" }

    init(transactionID: Int64, eventID: EventID) {
      self.transactionID = transactionID
      self.eventID = eventID
    }

    /// Nil when the text is no cursor.
    package init?(text: String) {
      guard let hyphen = text.utf8.firstIndex(of: UInt8(ascii: "-")),
        let eventID = EventID(text: String(text[text.utf8.index(after: hyphen)...]))
      else { return nil }
      let digits = text[..<hyphen]
      guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = Int64(digits) else {
        return nil
      }
      self.init(transactionID: number, eventID: eventID)
    }
  }
}

/// Lists events in the order of their transactions, starting after `cursor`.
struct ListEvents: PreparedStatement {
  static let name = "list_events"
  static let sql = "select * from flashsale.list_events($1::text, $2::integer, $3::bigint, $4::uuid, $5::integer)"
  static let isCancellable = true

  /// The number of events on a page. It limits the size of a response.
  static let pageSize = 100

  /// Nil for all types.
  let type: EventType?
  /// Nil for all products.
  let productID: Int32?
  let cursor: EventPage.Cursor?

  func bind(to parameters: inout Parameters) {
    parameters.append(type?.rawValue)
    parameters.append(productID)
    parameters.append(cursor?.transactionID)
    parameters.append(cursor?.eventID.uuid)
    parameters.append(Int32(Self.pageSize + 1))
  }

  static func decode(_ row: inout Row) throws -> (transactionID: Int64, event: Event) {
    let transactionID = try row.decode(Int64.self)
    let event = Event(
      id: EventID(try row.decode()), type: try row.decode(), productID: try row.decode(), objectID: try row.decode(),
      createdAt: try row.decode(), data: try row.decode())
    return (transactionID, event)
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func page(from database: Pool) async throws -> EventPage {
    // The query returns one more event than a page has, if there is another page.
    let found = try await database.execute(self)
    let rows = found.prefix(Self.pageSize)
    let last = rows.last.map { EventPage.Cursor(transactionID: $0.transactionID, eventID: $0.event.id) }
    return EventPage(events: rows.map(\.event), next: last ?? cursor, hasMore: found.count > rows.count)
  }
}
