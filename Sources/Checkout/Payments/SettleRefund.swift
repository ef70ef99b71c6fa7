import Postgres

/// Settles a payment event: records that its money was refunded outside flashsale. A refund by the provider settles it,
/// too.
///
/// Returns the event, or no row for an unknown key. Only an event with the verdict `refund_due`, and a success with
/// `amount_mismatch` or `parked`, gets `settledAt`.
struct SettleRefund: PreparedStatement {
  static let name = "settle_refund"
  static let sql = "select * from flashsale.settle_refund($1::text, $2::text, $3::text)"

  let idempotencyKey: String
  /// For the log of changes.
  let author: ChangeAuthor

  func bind(to parameters: inout Parameters) {
    parameters.append(idempotencyKey)
    parameters.append(author.name)
    parameters.append(author.requestID)
  }

  static func decode(_ row: inout Row) throws -> RecordedPaymentEvent {
    try RecordedPaymentEvent(&row)
  }
}
