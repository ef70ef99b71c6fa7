import Postgres

/// Lists the newest payment events with their verdicts.
struct ListPaymentEvents: PreparedStatement {
  static let name = "list_payment_events"
  static let sql = "select * from list_payment_events($1::integer)"
  static let isCancellable = true

  /// Bounds the answer: more than anybody reads at once.
  static let maximumCount: Int32 = 100

  func bind(to parameters: inout Parameters) {
    parameters.append(Self.maximumCount)
  }

  static func decode(_ row: inout Row) throws -> RecordedPaymentEvent {
    let event = PaymentEvent(
      idempotencyKey: try row.decode(), orderID: try row.decodeReservationID(), status: try row.decodeCase(),
      amount: try row.decodeIfPresent(), currency: try row.decodeIfPresent())
    return RecordedPaymentEvent(
      event: event, verdict: try row.decodeCase(), orderStatus: try row.decodeCaseIfPresent(),
      receivedAt: try row.decode())
  }
}
