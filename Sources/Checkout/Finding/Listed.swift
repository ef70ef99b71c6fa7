import Postgres
import Time

/// A row of a list: an order or a hold.
package protocol Listed: Sendable {
  associatedtype Status: RawRepresentable<String> & CaseIterable & Sendable
  var id: ReservationID { get }

  /// Reads the newest rows of a selection.
  ///
  /// - Parameters:
  ///   - cursor: only older rows are read; nil for the newest.
  ///   - limit: 1 to 1001.
  /// - Throws: `PostgresError`, `CancellationError`.
  static func read(
    _ selection: Selection<Self>, after cursor: ReservationID?, limit: Int32, from database: Pool
  ) async throws -> [ListEntry<Self>]
}

/// Which rows a list has. A member that is nil does not narrow it.
package struct Selection<Row: Listed>: Sendable {
  package var productID: Int32?
  package var status: Row.Status?
  package var customerID: String?
  /// Only orders that were created after it. For holds, whole seconds count.
  package var createdAfter: Timestamp?
  /// How long a hold may have lived before it became an order. An order whose hold lived longer may be missing from a
  /// selection with `createdAfter`. The value by default is the longest time to live, so no order is missing.
  var longestHold: Duration = .seconds(30 * 86_400)

  package init(
    productID: Int32? = nil, status: Row.Status? = nil, customerID: String? = nil, createdAfter: Timestamp? = nil
  ) {
    self.productID = productID
    self.status = status
    self.customerID = customerID
    self.createdAfter = createdAfter
  }
}

/// A row of `list_orders` and `list_holds`.
package enum ListEntry<Row: Listed>: Sendable {
  case row(Row)
  /// The last one: the list goes on after this id, although the page is not full.
  case end(ReservationID)
}

/// A page of a list, newest first.
package struct ListPage<Row: Listed>: Sendable {
  /// The number of rows on a page for a client. It limits the size of a response.
  package static var size: Int { 100 }

  /// At most as many as the page's size. It may have fewer, even none, before the last page.
  package let rows: [Row]
  /// The position after this page: the next page has older rows. Nil on the last page.
  package let next: ReservationID?
}

extension Listed {
  /// Reads a page.
  ///
  /// - Parameters:
  ///   - cursor: the `next` of another page; nil for the first page.
  ///   - size: 1 to 1000.
  /// - Throws: `PostgresError`, `CancellationError`.
  package static func page(
    of selection: Selection<Self>, after cursor: ReservationID? = nil, size: Int = ListPage<Self>.size,
    from database: Pool
  ) async throws -> ListPage<Self> {
    // One more row than the page has, if there is another page.
    let entries = try await read(selection, after: cursor, limit: Int32(size + 1), from: database)
    var rows: [Self] = []
    rows.reserveCapacity(entries.count)
    for entry in entries {
      switch entry {
      case .row(let row) where rows.count < size: rows.append(row)
      case .row: return ListPage(rows: rows, next: rows.last?.id)
      case .end(let id): return ListPage(rows: rows, next: id)
      }
    }
    return ListPage(rows: rows, next: nil)
  }
}

extension Timestamp {
  /// The Unix second of a time, as ids have it: 0 to 2^32 - 1. Times out of that range count as its ends.
  var idSecond: Int64 {
    let second = microsecondsSince1970 / 1_000_000
    return min(max(second, 0), Int64(UInt32.max))
  }
}
