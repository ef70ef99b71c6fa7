import FoundationEssentials
import Postgres
import Telemetry

/// Records a payment event and applies it to its order. The event may come several times, late, or before its order. A
/// refund or a dispute may come before its payment. Each idempotency key has one effect.
package struct ApplyPaymentEvent: BatchedUseCase {
  package enum Outcome: Sendable, Equatable {
    /// - Parameters:
    ///   - orderStatus: the order's status after the verdict; nil without an order.
    ///   - isReplay: the event was recorded before, and has no further effect.
    case decided(PaymentEvent.Verdict, orderStatus: Order.Status?, isReplay: Bool)
    /// Another payload used the key before.
    case keyReused
  }

  /// Counts the money that refunds gave back, by currency. Nil counts nothing.
  var refundedAmount: CounterByLabel?

  func lane(of event: PaymentEvent) -> Int32 { event.orderID.productID }

  /// A payment takes no units. But it can change the product's status from `reserved_out` to `sold_out`.
  func changesStock(_ outcome: Outcome) -> Bool {
    switch outcome {
    case .decided(.applied, _, isReplay: false), .decided(.reacquired, _, isReplay: false): true
    default: false
    }
  }

  /// Concurrent duplicates share one execution. The first one gets the verdict, the others get it as a replay.
  func execute(
    _ events: [PaymentEvent], lane productID: Int32, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    try executeOncePerKey(events, key: { $0.idempotencyKey }, asReplay: \.asReplay, refusal: \.refusalOfOthers) {
      chosen in
      let rows = try connection.transact(Statement(productID: productID, events: chosen.map { events[$0] }))
      if let refunded = rows.first?.refunded { refundedAmount?.increment(refunded.currency, by: refunded.amount) }
      return rows.map(\.outcome)
    }
  }

  /// Runs the batch again. An event that was recorded is a replay.
  func resume(
    _ events: [PaymentEvent], lane productID: Int32, mark: Void, on connection: isolated Connection
  ) throws -> [Outcome?] {
    try execute(events, lane: productID, mark: mark, on: connection)
  }

  /// The outcome of one event in SQL.
  private enum Word: String {
    case recorded, replayed
    case keyReused = "key_reused"
  }

  private struct Statement: PreparedStatement {
    static let name = "apply_payment_events"
    static let sql = """
      select * from flashsale.apply_payment_events(
        $1::integer, $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[])
      """
    let productID: Int32
    let events: [PaymentEvent]

    func bind(to parameters: inout Parameters) {
      parameters.append(productID)
      parameters.append(events.map(\.idempotencyKey))
      parameters.append(events.map(\.orderID.uuid))
      parameters.append(events.map(\.status.rawValue))
      parameters.append(events.map(\.amount))
      parameters.append(events.map(\.currency))
      parameters.append(events.named(\.paymentKey))
    }

    /// The first row also has the money that refunds of the batch gave back, in minor units.
    static func decode(_ row: inout Row) throws -> (outcome: Outcome, refunded: (amount: Int64, currency: String)?) {
      let word = try row.decodeCase(Word.self)
      let verdict = try row.decodeCaseIfPresent(PaymentEvent.Verdict.self)
      let orderStatus = try row.decodeCaseIfPresent(Order.Status.self)
      let amount = try row.decodeIfPresent(Int64.self)
      let currency = try row.decodeIfPresent(String.self)
      let refunded = amount.flatMap { amount in currency.map { (amount: amount, currency: $0) } }
      switch word {
      case .keyReused: return (.keyReused, refunded)
      case .recorded, .replayed:
        guard let verdict else { throw UnknownValue(description: "an event without a verdict") }
        return (.decided(verdict, orderStatus: orderStatus, isReplay: word == .replayed), refunded)
      }
    }
  }
}

extension ApplyPaymentEvent.Outcome {
  fileprivate var asReplay: Self {
    switch self {
    case .decided(let verdict, let orderStatus, _): .decided(verdict, orderStatus: orderStatus, isReplay: true)
    case .keyReused: .keyReused
    }
  }

  fileprivate var refusalOfOthers: Self? {
    if case .decided = self { .keyReused } else { nil }
  }
}
