import FoundationEssentials
import Postgres

/// Records a payment event and applies it to its order. The event may come several times, late, or before its order.
/// Each idempotency key has one effect.
package struct ApplyPaymentEvent: BatchedUseCase {
  package enum Outcome: Sendable, Equatable {
    /// - Parameters:
    ///   - orderStatus: the order's status after the verdict; nil without an order.
    ///   - isReplay: the event was recorded before, and has no further effect.
    case decided(PaymentEvent.Verdict, orderStatus: Order.Status?, isReplay: Bool)
    /// Another payload used the key before.
    case keyReused
  }

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
      try connection.transact(Statement(productID: productID, events: chosen.map { events[$0] }))
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
      select * from flashsale.apply_payment_events($1::integer, $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[])
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
    }

    static func decode(_ row: inout Row) throws -> Outcome {
      let word = try row.decodeCase(Word.self)
      switch word {
      case .keyReused: return .keyReused
      case .recorded, .replayed:
        return .decided(
          try row.decodeCase(), orderStatus: try row.decodeCaseIfPresent(), isReplay: word == .replayed)
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
