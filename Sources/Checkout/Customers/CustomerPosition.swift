import FoundationEssentials
import Postgres
import Time

/// The start of a page of a customer's holds of one product: see `holds_of_customer`.
struct CustomerPosition: Sendable, Equatable {
  private var after: Timestamp?
  private var afterID: UUID?

  static let start = CustomerPosition()

  private init() {}

  /// Reads the columns `next_after` and `next_id`. Nil after the last page.
  init?(next row: inout Row) throws {
    after = try row.decodeIfPresent()
    afterID = try row.decodeIfPresent()
    if after == nil, afterID == nil { return nil }
  }

  func bind(to parameters: inout Parameters) {
    parameters.append(after)
    parameters.append(afterID)
  }
}
