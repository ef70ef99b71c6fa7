import FoundationEssentials
import Postgres
import Time

/// Where a page of a customer's holds begins: see `holds_of_customer`. No index leads from a customer to all holds, so the
/// pages of each product follow each other.
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
