import FoundationEssentials
import Postgres
import Time

/// A page of payment events, newest first.
package struct PaymentEventPage: Sendable {
  package let events: [RecordedPaymentEvent]
  /// The start of the next page; nil on the last page.
  package let next: Cursor?

  /// The position after the last event of a page. Opaque to clients.
  package struct Cursor: Sendable, Equatable {
    let receivedAt: Timestamp
    let idempotencyKey: String

    init(after event: RecordedPaymentEvent) {
      receivedAt = event.receivedAt
      idempotencyKey = event.event.idempotencyKey
    }

    /// Base64url (RFC 4648, section 5) without padding.
    package var text: String {
      Data("\(receivedAt.microsecondsSince1970) \(idempotencyKey)".utf8).base64EncodedString()
        .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Nil when the text is no cursor.
    package init?(text: String) {
      let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
      let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
      guard let data = Data(base64Encoded: base64 + padding), let plain = String(validating: data, as: UTF8.self),
        // Search bytes, not characters: a key may begin with a combining mark, which would form a character with the
        // space.
        let space = plain.utf8.firstIndex(of: UInt8(ascii: " ")), let microseconds = Int64(plain[..<space]),
        // PostgreSQL refuses times outside its range. All events arrive between 1970 and the year 10000.
        0..<Self.endOfTime ~= microseconds
      else { return nil }
      let key = plain[plain.utf8.index(after: space)...]
      guard 1...255 ~= key.unicodeScalars.count, !key.unicodeScalars.contains("\0") else { return nil }
      receivedAt = Timestamp(microsecondsSince1970: microseconds)
      idempotencyKey = String(key)
    }

    /// The start of the year 10000, in microseconds since 1970.
    private static let endOfTime: Int64 = 253_402_300_800_000_000
  }
}

/// Lists payment events with their verdicts, newest first, starting after `cursor`.
struct ListPaymentEvents: PreparedStatement {
  static let name = "list_payment_events"
  static let sql = """
    select * from flashsale.list_payment_events(
      $1::text, $2::integer, $3::uuid, $4::timestamptz, $5::text, $6::integer)
    """
  static let isCancellable = true

  /// The number of events on a page. It limits the size of a response.
  static let pageSize = 100

  let verdict: PaymentEvent.Verdict?
  let orderID: ReservationID?
  let cursor: PaymentEventPage.Cursor?

  func bind(to parameters: inout Parameters) {
    parameters.append(verdict?.rawValue)
    parameters.append(orderID?.productID)
    parameters.append(orderID?.uuid)
    parameters.append(cursor?.receivedAt)
    parameters.append(cursor?.idempotencyKey)
    parameters.append(Int32(Self.pageSize + 1))
  }

  static func decode(_ row: inout Row) throws -> RecordedPaymentEvent {
    try RecordedPaymentEvent(&row)
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func page(from database: Pool) async throws -> PaymentEventPage {
    // The query returns one more event than a page has, if there is another page.
    let found = try await database.execute(self)
    let events = Array(found.prefix(Self.pageSize))
    return PaymentEventPage(
      events: events, next: found.count > events.count ? events.last.map { .init(after: $0) } : nil)
  }
}
