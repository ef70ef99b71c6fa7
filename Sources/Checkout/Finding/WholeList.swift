import Postgres

/// Reads a whole selection in pages: product by product, the newest product first, and the newest rows of each first.
///
/// Each page is a query of its own, so the list is no snapshot. A row is as it was when its page was read, and rows that are
/// added meanwhile may be missing. A row that meets the conditions all the time comes exactly once.
///
/// The order is that of the ids. A list for a client merges the products by time, which takes more reads for each page.
package struct WholeList<Row: Listed>: Sendable {
  /// Large enough that the round trips do not count, small enough that a page takes some milliseconds.
  private static var pageSize: Int { 1000 }

  private var selection: Selection<Row>
  /// The products that are not read to their end, by id. The last one is next.
  private var products: [Int32]
  private var cursor: ReservationID?

  /// - Parameter cursor: the last row of another list of this selection, which ended early; nil to begin at the
  ///   beginning.
  /// - Throws: `PostgresError`, `CancellationError`.
  package init(_ selection: Selection<Row>, after cursor: ReservationID? = nil, from database: Pool) async throws {
    let all =
      if let id = selection.productID { [id] } else { try await Product.all(in: database).map(\.id) }
    self.selection = selection
    products = all.filter { $0 <= cursor?.productID ?? .max }.sorted()
    self.cursor = products.last == cursor?.productID ? cursor : nil
  }

  /// The next rows, at least one. Nil at the end.
  ///
  /// - Throws: `PostgresError`, `CancellationError`.
  package mutating func next(from database: Pool) async throws -> [Row]? {
    while let product = products.last {
      selection.productID = product
      let page = try await Row.page(of: selection, after: cursor, size: Self.pageSize, from: database)
      cursor = page.next
      if cursor == nil { products.removeLast() }
      if !page.rows.isEmpty { return page.rows }
    }
    return nil
  }
}
