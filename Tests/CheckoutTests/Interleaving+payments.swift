import Postgres
import TestSupport

@testable import Checkout

/// Payments, refunds and disputes.
extension Interleaving {
  mutating func pay(_ index: Int) async throws {
    let message = randomMessage(index, key: randomKey())
    history.append("\(message)")
    let expected = model.pay([message])[0]
    let outcome = try await checkout.pay(
      ids[index], message.status, key: message.key, amount: message.amount, about: message.paymentKey)
    let found: Model.Payment =
      switch outcome {
      case .keyReused: .keyReused
      case .decided(let verdict, let orderStatus, let isReplay): .decided(verdict, orderStatus, isReplay: isReplay)
      }
    try expect(found == expected, "\(found), not \(expected)")
  }

  private mutating func randomMessage(_ index: Int, key: String) -> Model.Message {
    let right = Int64(model.holds[index].quantity) * Model.price
    let payments: [PaymentEvent.Status] = [.success, .success, .failed]
    let others: [PaymentEvent.Status] = [
      .refundedTotal, .refund, .refund, .disputeOpen, .disputeWon, .disputeLost, .attemptFailed,
    ]
    let status = (Bool.random(using: &random) ? payments : others).randomElement(using: &random)!
    let amount: Int64? =
      switch status {
      case .refundedTotal, .refund: [40, 60, right, right + 1].randomElement(using: &random)!
      case .success, .failed: [nil, nil, right, right + 1].randomElement(using: &random)!
      default: nil
      }
    // Mostly a payment of this order, else a key that may be another event's.
    let paid = model.events.filter { $0.event.hold == index && $0.event.status == .success }
      .randomElement(using: &random)
    let paymentKey: String? =
      switch status {
      case .success, .failed, .attemptFailed: nil
      default: Int.random(in: 0..<4, using: &random) > 0 ? paid?.key ?? randomKey() : randomKey()
      }
    return Model.Message(hold: index, status: status, amount: amount, key: key, paymentKey: paymentKey)
  }

  /// Several events in one batch, also for the same order. Payments are applied one after the other, then refunds.
  mutating func payBatch(of product: Int) async throws {
    let indices = someHolds(of: product)
    let keys = (0..<12).shuffled(using: &random).prefix(indices.count).map { "\(seed)-\($0)" }
    var messages: [Model.Message] = []
    for (index, key) in zip(indices, keys) { messages.append(randomMessage(index, key: key)) }
    history.append("together \(messages)")
    let expected = model.pay(messages).map { payment in
      switch payment {
      case .keyReused: "key_reused"
      case .decided(let verdict, let orderStatus, let isReplay):
        [isReplay ? "replayed" : "recorded", verdict.rawValue, orderStatus?.rawValue].compactMap(\.self)
          .joined(separator: " ")
      }
    }
    try await expect(
      expected, fromRows: "concat_ws(' ', a.outcome, a.verdict, a.order_status)",
      of: """
        apply_payment_events(
          \(products[product].id), \(sqlTexts(keys)), \(sqlIDs(indices)), \(sqlTexts(messages.map(\.status.rawValue))),
          array[\(messages.map { $0.amount.map(String.init) ?? "null" }.joined(separator: ", "))]::bigint[],
          array_fill(null::text, array[\(indices.count)]),
          array[\(messages.map { $0.paymentKey.map { "'\($0)'" } ?? "null" }.joined(separator: ", "))]::text[])
        """)
  }

  /// An operator refunds an order, in part or all of it.
  mutating func refund(_ index: Int) async throws {
    let right = Int64(model.holds[index].quantity) * Model.price
    let amount: Int64? = [nil, nil, 30, 70, right].randomElement(using: &random)!
    let restock = Bool.random(using: &random)
    let key = randomKey()
    history.append("refund \(amount.map(String.init) ?? "the rest") of \(index) restock \(restock) key \(key)")
    let expected = model.refund(index, amount, restock: restock, key: key)
    let outcome = try await checkout.refund(ids[index], amount, restock: restock, key: key)
    let found: Model.Refunding =
      switch outcome {
      case .refunded(let refund, let isReplay): .refunded(refund.amount, isReplay: isReplay)
      case .keyReused: .keyReused
      case .orderNotFound: .orderNotFound
      case .orderNotPaid(let status): .orderNotPaid(status)
      case .refundTooLarge(let left): .refundTooLarge(left: left)
      }
    try expect(found == expected, "\(found), not \(expected)")
  }

  /// Each order has the refunded amount and the dispute of the model.
  func compareRefunds() async throws {
    let expected = model.orders.map { index, order in
      "('\(ids[index].uuid)'::uuid, \(order.refunded), \(order.dispute.map { "'\($0)'" } ?? "null"), \(order.isRestocked))"
    }
    guard !expected.isEmpty else { return }
    let wrong = try await pool.integer(
      """
      select count(*) from (values \(expected.joined(separator: ", "))) as e (id, refunded, dispute, is_restocked)
      join orders o on o.id = e.id
      where (o.refunded_amount, o.dispute, o.is_restocked) is distinct from (e.refunded, e.dispute, e.is_restocked)
      """)
    try expect(wrong == 0, "\(wrong) orders have other refunds than \(expected)")
  }

  mutating func settle() async throws {
    let key = randomKey()
    history.append("settle \(key)")
    let expected = model.settle(key)
    let event = try await checkout.settleRefund(idempotencyKey: key)
    try expect(event.map { $0.settledAt != nil } == expected, "\(String(describing: event))")
  }

  /// An event becomes a month old, and a worker removes old rows.
  mutating func retire() async throws {
    let key = randomKey()
    history.append("retire \(key)")
    model.retire(key)
    let ids = products.map { "\($0.id)" }.joined(separator: ",")
    try await pool.run(
      """
      update payment_events set received_at = received_at - interval '31 days' where idempotency_key = '\(key)';
      select remove_old(id, 100, 259200000000, 604800000000, 2592000000000) from unnest('{\(ids)}'::integer[]) id;
      update payment_events set received_at = received_at + interval '31 days' where idempotency_key = '\(key)'
      """)
  }
}
