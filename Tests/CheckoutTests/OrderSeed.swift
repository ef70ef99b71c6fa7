import Checkout
import Postgres
import TestSupport

extension Pool {
  /// Adds orders with their holds, one a second, without the stock. The last one is of the second `until`.
  ///
  /// - Parameters:
  ///   - status: of the orders. Their holds are `ordered`.
  ///   - customer: an SQL expression for the customer of the order number `n`.
  func addOrders(
    _ count: Int, of product: Int32, until second: Int64 = 1_795_000_000, status: String = "paid",
    customer: String = "null"
  ) async throws {
    let isPaid = status == "paid" || status == "refunded"
    try await run(
      """
      with new as materialized (
          select n, s.second, (left(first_hold_id(\(product), s.second)::text, 21) || right(r.digits, 2) || '-'
                               || left(r.digits, 12))::uuid as id
          from generate_series(1, \(count)) n
          cross join lateral (select \(second) - \(count) + n as second) s
          cross join lateral (select md5(random()::text || n) as digits) r
      ), new_holds as (
          insert into holds (product_id, id, quantity, status, expires_at, customer_id)
          select \(product), id, 1, 'ordered', to_timestamp(second + 120), \(customer) from new
      )
      insert into orders (
          product_id, id, quantity, amount, currency, status, payment_due_at, created_at, paid_at, refunded_amount)
      select \(product), id, 1, 100, 'USD', '\(status)', to_timestamp(second + 960), to_timestamp(second + 60),
             \(isPaid ? "to_timestamp(second + 70)" : "null"), \(status == "refunded" ? 100 : 0)
      from new
      """)
  }
}

extension Array where Element == ReservationID {
  /// Newest first, as lists are. The digits after those of the product begin with the second.
  var newestFirst: [ReservationID] {
    sorted { $0.uuidText.dropFirst(8) > $1.uuidText.dropFirst(8) }
  }
}
