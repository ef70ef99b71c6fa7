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
    let number: Int64

    package var text: String { "\(transactionID)-\(number)" }

    init(transactionID: Int64, number: Int64) {
      self.transactionID = transactionID
      self.number = number
    }

    /// Nil when the text is no cursor.
    package init?(text: String) {
      let numbers = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false).map { digits in
        digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 } ? Int64(String(Substring(digits))) : nil
      }
      guard numbers.count == 2, let transactionID = numbers[0], let number = numbers[1] else { return nil }
      self.init(transactionID: transactionID, number: number)
    }
  }
}

/// Lists events in the order in which they were dispatched, starting after `cursor`.
struct ListEvents: PreparedStatement {
  static let name = "list_events"
  static let sql = "select * from flashsale.list_events($1::text, $2::integer, $3::bigint, $4::bigint, $5::integer)"
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
    parameters.append(cursor?.number)
    parameters.append(Int32(Self.pageSize + 1))
  }

  static func decode(_ row: inout Row) throws -> (place: EventPage.Cursor, event: Event) {
    let place = EventPage.Cursor(transactionID: try row.decode(), number: try row.decode())
    let event = Event(
      id: EventID(try row.decode()), type: try row.decode(), productID: try row.decode(), objectID: try row.decode(),
      createdAt: try row.decode(), data: try row.decode())
    return (place, event)
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func page(from database: Pool) async throws -> EventPage {
    // Events are still in batches if no server delivers any. Those that are dispatched now are on the next page.
    _ = try await database.transact(DispatchEvents())
    // The query returns one more event than a page has, if there is another page.
    let found = try await database.execute(self)
    let rows = found.prefix(Self.pageSize)
    return EventPage(
      events: rows.map(\.event), next: rows.last?.place ?? cursor, hasMore: found.count > rows.count)
  }
}

/// Makes the events of batches that wait. Returns the number of these batches.
private struct DispatchEvents: PreparedStatement {
  static let name = "dispatch_events"
  static let sql = "select flashsale.dispatch_events($1::integer)"

  func bind(to parameters: inout Parameters) { parameters.append(Int32(5 * ListEvents.pageSize)) }
  static func decode(_ row: inout Row) throws -> Int32 { try row.decode() }
}
