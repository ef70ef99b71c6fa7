import Postgres

/// Replaces a customer's id by a pseudonym, wherever the checkout stores it, and removes the metadata of the customer's
/// holds and orders. Quantities, amounts and states stay.
///
/// Each step is a transaction, so buyers wait for a few holds at most. An erasure that was interrupted goes on when it
/// runs again:
///
///     begin: stores the pseudonym with the id
///     step:  replaces the id in a page of holds of one product; a second time it finds none
///     end:   removes the pseudonym's row, and adds an entry to the log of changes
///
/// A hold that is placed meanwhile is either replaced, or made after the erasure: see `erase_customer`.
package struct EraseCustomer: Sendable {
  /// The numbers of replaced rows. They include the rows of earlier runs that were interrupted.
  package struct Erased: Sendable, Equatable {
    package let pseudonym: String
    package let holds: Int64
    /// Orders whose metadata was removed.
    package let orders: Int64
    package let idempotencyKeys: Int64
    package let events: Int64
  }

  /// The most holds of a step, or of given-back holds among which it looks for the customer's.
  private static let pageSize: Int32 = 1000

  private let customerID: String
  private let author: ChangeAuthor

  /// - Parameter customerID: 1 to 255 characters.
  package init(customerID: String, author: ChangeAuthor = .commandLine) {
    self.customerID = customerID
    self.author = author
  }

  /// - Parameter database: connects as the owner of the tables. Other roles may not erase.
  /// - Returns: nil when another command ended the erasure.
  /// - Throws: `PostgresError`, `CancellationError`. A second run goes on.
  package func run(on database: Pool) async throws -> Erased? {
    _ = try await database.transact(Begin(customerID: customerID, pseudonym: Self.newPseudonym()))
    for product in try await Product.all(in: database) {
      var position: CustomerPosition? = .start
      while let start = position {
        let step = Step(productID: product.id, customerID: customerID, position: start, limit: Self.pageSize)
        position = try await database.transact(step).first ?? nil
      }
    }
    return try await database.transact(End(customerID: customerID, author: author)).first
  }

  /// 128 random bits. A customer's id cannot be computed from it.
  private static func newPseudonym() -> String {
    let digits = String(UInt128.random(in: .min ... .max), radix: 16)
    return "erased_" + String(repeating: "0", count: 32 - digits.count) + digits
  }

  private struct Begin: PreparedStatement {
    static let name = "begin_erasure"
    static let sql = "select flashsale.begin_erasure($1::text, $2::text)"
    let customerID: String
    let pseudonym: String

    func bind(to parameters: inout Parameters) {
      parameters.append(customerID)
      parameters.append(pseudonym)
    }

    static func decode(_ row: inout Row) throws -> String { try row.decode() }
  }

  private struct Step: PreparedStatement {
    static let name = "erase_customer"
    static let sql = """
      select * from flashsale.erase_customer($1::integer, $2::text, $3::timestamptz, $4::uuid, $5::integer)
      """
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

    static func decode(_ row: inout Row) throws -> CustomerPosition? { try CustomerPosition(next: &row) }
  }

  private struct End: PreparedStatement {
    static let name = "end_erasure"
    static let sql = "select * from flashsale.end_erasure($1::text, $2::text, $3::text)"
    let customerID: String
    let author: ChangeAuthor

    func bind(to parameters: inout Parameters) {
      parameters.append(customerID)
      parameters.append(author.name)
      parameters.append(author.requestID)
    }

    static func decode(_ row: inout Row) throws -> Erased {
      Erased(
        pseudonym: try row.decode(), holds: try row.decode(), orders: try row.decode(),
        idempotencyKeys: try row.decode(), events: try row.decode())
    }
  }
}
