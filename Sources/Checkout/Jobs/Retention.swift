/// How long old rows are kept. All times are more than zero. Times below those in the table `minimum_retention` have no
/// effect. Only the owner of the tables can change that table.
package struct Retention: Sendable {
  /// How long an idempotency key is known. 72 h: a client that failed on Friday evening can still repeat its request on
  /// Monday.
  package var idempotencyKeys: Duration = .seconds(72 * 3600)
  /// How long an expired or released hold is kept after its `expires_at`. It is kept at least as long as its key.
  package var holds: Duration = .seconds(7 * 24 * 3600)
  /// How long a parked success waits for its order. Then its verdict becomes `refund_due`. A parked failure is removed
  /// after 30 days.
  package var parkedEvents: Duration = .seconds(30 * 24 * 3600)

  package init() {}
}
