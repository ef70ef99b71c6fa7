import Postgres

/// Notes that the money of a payment event was given back outside.
///
/// Yields the event, none for an unknown key. `settledAt` stays nil when its money was not due: it is for a success
/// that was too late, came twice, had the wrong amount, or whose order has not come.
struct SettleRefund: PreparedStatement {
  static let name = "settle_refund"
  static let sql = "select * from flashsale.settle_refund($1::text)"

  let idempotencyKey: String

  func bind(to parameters: inout Parameters) {
    parameters.append(idempotencyKey)
  }

  static func decode(_ row: inout Row) throws -> RecordedPaymentEvent {
    try RecordedPaymentEvent(&row)
  }
}
