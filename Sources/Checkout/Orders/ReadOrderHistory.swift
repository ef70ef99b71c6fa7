import FoundationEssentials
import Postgres

/// An order with its payment events and its refunds, from one snapshot.
package struct OrderHistory: Sendable {
  package let order: Order
  /// The shop's id of the buyer; nil if the hold has none.
  package let customerID: String?
  /// Whether a refund has returned the order's units to the stock.
  package let isRestocked: Bool
  /// The newest 1,000, in the order of time.
  package let paymentEvents: [RecordedPaymentEvent]
  /// The newest 1,000, in the order of time.
  package let refunds: [Refund]

  /// The largest amount of another refund, in minor units of the order's currency; 0 if the order is not paid.
  package var refundableAmount: Int64 {
    switch order.status {
    case .paid, .refunded: order.amount - order.refundedAmount
    case .pendingPayment, .cancelled, .expired: 0
    }
  }
}

/// Reads an order with its payment events and its refunds.
package struct ReadOrderHistory: PreparedStatement {
  package static let name = "read_order_history"
  package static let sql = "select * from flashsale.read_order_history($1::integer, $2::uuid, $3::integer)"
  package static let isCancellable = true

  /// The largest number of events, and of refunds. It limits the size of a response.
  private static let limit: Int32 = 1000
  private static let eventColumns: Int32 = 10
  private static let refundColumns: Int32 = 8

  /// One row. Exactly one member is not nil.
  package struct Part: Sendable {
    fileprivate var head: (order: Order, customerID: String?, isRestocked: Bool)?
    fileprivate var event: RecordedPaymentEvent?
    fileprivate var refund: Refund?
  }

  private enum Kind: String {
    case order, event, refund
  }

  private let orderID: ReservationID

  package init(_ orderID: ReservationID) {
    self.orderID = orderID
  }

  package func bind(to parameters: inout Parameters) {
    parameters.append(orderID.productID)
    parameters.append(orderID.uuid)
    parameters.append(Self.limit)
  }

  package static func decode(_ row: inout Row) throws -> Part {
    switch try row.decodeCase(Kind.self) {
    case .order:
      row.skip(eventColumns + refundColumns)
      let customerID = try row.decodeIfPresent(String.self)
      let isRestocked = try row.decode(Bool.self)
      return Part(head: (try Order(&row), customerID, isRestocked))
    case .event:
      return Part(event: try RecordedPaymentEvent(&row))
    case .refund:
      row.skip(eventColumns)
      return Part(refund: try Refund(&row))
    }
  }

  /// - Returns: nil for an unknown order.
  /// - Throws: `PostgresError`, `CancellationError`.
  package func history(from database: Pool) async throws -> OrderHistory? {
    let parts = try await database.execute(self)
    guard let head = parts.first?.head else { return nil }
    return OrderHistory(
      order: head.order, customerID: head.customerID, isRestocked: head.isRestocked,
      paymentEvents: parts.compactMap(\.event), refunds: parts.compactMap(\.refund))
  }
}

extension Checkout {
  /// Reads an order with its payment events and its refunds. Nil for an unknown id.
  package func orderHistory(_ id: ReservationID) async throws -> OrderHistory? {
    try await call(isRead: true) { try await ReadOrderHistory(id).history(from: $0) }
  }
}
