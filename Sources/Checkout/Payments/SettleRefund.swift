import Postgres

/// Settles a refund: records that the money of a payment event was refunded outside flashsale.
///
/// Returns the event, or no row for an unknown key. Only an event with the verdict `refund_due`, and a success with
/// `amount_mismatch` or `parked`, gets `settledAt`.
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
