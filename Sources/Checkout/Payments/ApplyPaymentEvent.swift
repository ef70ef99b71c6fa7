import FoundationEssentials
import Postgres

/// Takes the payment provider's word, however often, late, or early it comes: one effect for each idempotency key.
public struct ApplyPaymentEvent: BatchedUseCase {
  public enum Outcome: Sendable, Equatable {
    /// - Parameter isReplay: the event was known already and had no effect now.
    case settled(PaymentEvent.Verdict, orderStatus: Order.Status?, isReplay: Bool)
    /// Another payload came under the same key before.
    case keyReused
  }

  let database: Pool

  func lane(of event: PaymentEvent) -> Int32 { event.orderID.productID }

  /// Concurrent duplicates share one execution, so that a key that is delivered over and over occupies one place in one
  /// batch. The first is told the effect, the others that it is a replay.
  func execute(_ events: [PaymentEvent], lane productID: Int32) async throws -> [Outcome] {
    var outcomes = [Outcome?](repeating: nil, count: events.count)
    var waiting = Array(events.indices)
    while !waiting.isEmpty {
      // A round has each key once. Other payloads under a key wait for the next round, which finds the key taken.
      var firstByKey: [String: Int] = [:]
      var round: [Int] = []
      for index in waiting where firstByKey[events[index].idempotencyKey] == nil {
        firstByKey[events[index].idempotencyKey] = index
        round.append(index)
      }
      let results = try await database.transact(Statement(productID: productID, events: round.map { events[$0] }))
      for (index, outcome) in zip(round, results) { outcomes[index] = outcome }
      waiting = waiting.filter { index in
        let first = firstByKey[events[index].idempotencyKey]!
        if index == first { return false }
        guard events[index] == events[first] else { return true }
        outcomes[index] = outcomes[first]!.asReplay
        return false
      }
    }
    return outcomes.map { $0! }
  }

  private struct Statement: PreparedStatement {
    static let name = "apply_payment_events"
    static let sql = """
      select * from apply_payment_events($1::integer, $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[])
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
      let outcome = try row.decode(String.self)
      if outcome == "key_reused" { return .keyReused }
      return .settled(
        try row.decodeCase(), orderStatus: try row.decodeCaseIfPresent(), isReplay: outcome == "replayed")
    }
  }
}

extension ApplyPaymentEvent.Outcome {
  fileprivate var asReplay: Self {
    switch self {
    case .settled(let verdict, let orderStatus, _): .settled(verdict, orderStatus: orderStatus, isReplay: true)
    case .keyReused: .keyReused
    }
  }
}
