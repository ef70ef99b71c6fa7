import Postgres

/// Exports what is stored about a customer: the holds, and for each its idempotency keys, its order, and the order's
/// payment events and refunds.
package struct ExportCustomer: Sendable {
  /// The most holds of a page, or of given-back holds among which it looks for the customer's. It limits the memory that
  /// the export takes.
  private static let pageSize: Int32 = 500

  private let customerID: String

  /// - Parameter customerID: 1 to 255 characters.
  package init(customerID: String) {
    self.customerID = customerID
  }

  /// Reads page by page. Each page is a transaction of its own, because a long transaction would keep PostgreSQL from
  /// reusing the space of old rows. So a hold that is given back meanwhile may be exported twice.
  ///
  /// - Parameters:
  ///   - database: connects as the owner of the tables. Other roles may not export.
  ///   - write: gets each line: a JSON object without a line feed.
  /// - Throws: `PostgresError`, `CancellationError`, the error of `write`.
  package func run(on database: Pool, write: (String) throws -> Void) async throws {
    for product in try await Product.all(in: database) {
      var position: CustomerPosition? = .start
      while let start = position {
        let pages = try await database.execute(
          Page(productID: product.id, customerID: customerID, position: start, limit: Self.pageSize))
        position = nil
        for page in pages {
          for line in page.lines { try write(line) }
          position = page.next
        }
      }
    }
  }

  private struct Page: PreparedStatement {
    static let name = "export_customer"
    static let sql = """
      select * from flashsale.export_customer($1::integer, $2::text, $3::timestamptz, $4::uuid, $5::integer)
      """
    static let isCancellable = true
    let productID: Int32
    let customerID: String
    let position: CustomerPosition
    let limit: Int32

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(customerID)
      position.bind(to: &parameters)
      parameters.append(limit)
    }

    static func decode(_ row: inout Row) throws -> (next: CustomerPosition?, lines: [String]) {
      (try CustomerPosition(next: &row), try row.decode())
    }
  }
}
