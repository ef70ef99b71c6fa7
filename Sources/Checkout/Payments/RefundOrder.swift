import Postgres

/// Records that an operator refunded money of a paid order.
///
/// Returns one outcome.
package struct RefundOrder: PreparedStatement {
  package static let name = "refund_order"
  package static let sql = """
    select * from flashsale.refund_order(
      $1::integer, $2::uuid, $3::bigint, $4::boolean, $5::text, $6::text, $7::uuid, $8::text, $9::text)
    """

  package enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: an earlier call with the same key recorded the refund.
    case refunded(Refund, isReplay: Bool)
    /// Another call used the key before.
    case keyReused
    case orderNotFound
    case orderNotPaid(Order.Status)
    /// - Parameter left: the largest amount of another refund, in minor units.
    case refundTooLarge(left: Int64)
  }

  /// In Unicode scalars.
  package static let maximumReasonLength = 255

  let orderID: ReservationID
  private let amount: Int64?
  private let isRestock: Bool
  private let reason: String?
  private let idempotencyKey: String
  /// Made before the call, so a second attempt after a lost answer has the same id.
  private let refundID: RefundID
  /// For the log of changes.
  var author = ChangeAuthor.commandLine

  /// - Parameters:
  ///   - amount: in minor units of the order's currency, at least 1; nil for all that is left.
  ///   - isRestock: return the order's units to the stock, once no money is left.
  ///   - reason: 1 to 255 characters.
  ///   - idempotencyKey: 1 to 255 characters. The same call with the same key has one effect. A key is known by the
  ///     product, too.
  package init(orderID: ReservationID, amount: Int64?, isRestock: Bool, reason: String?, idempotencyKey: String) {
    self.orderID = orderID
    self.amount = amount
    self.isRestock = isRestock
    self.reason = reason
    self.idempotencyKey = idempotencyKey
    refundID = RefundID(productID: orderID.productID)
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(orderID.productID)
    parameters.append(orderID.uuid)
    parameters.append(amount)
    parameters.append(isRestock)
    parameters.append(reason)
    parameters.append(idempotencyKey)
    parameters.append(refundID.uuid)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  package static func decode(_ row: inout Row) throws -> Outcome {
    let word = try row.decodeCase(Word.self)
    let status = try row.decodeCaseIfPresent(Order.Status.self)
    let left = try row.decodeIfPresent(Int64.self)
    switch word {
    case .refunded, .replayed: return .refunded(try Refund(&row), isReplay: word == .replayed)
    case .keyReused: return .keyReused
    case .orderNotFound: return .orderNotFound
    case .orderNotPaid:
      guard let status else { throw UnknownValue(description: "a refusal without the order's status") }
      return .orderNotPaid(status)
    case .refundTooLarge:
      guard let left else { throw UnknownValue(description: "a refusal without the amount that is left") }
      return .refundTooLarge(left: left)
    }
  }

  /// The outcome in SQL.
  enum Word: String, CaseIterable {
    case refunded, replayed
    case keyReused = "key_reused"
    case orderNotFound = "order_not_found"
    case orderNotPaid = "order_not_paid"
    case refundTooLarge = "refund_too_large"
  }
}
