/// For how long things are kept that nobody asks for any more. All above zero; the database has a minimum of its own,
/// which the owner of the tables sets.
package struct Retention: Sendable {
  /// How long an idempotency key is remembered. 72 h: a fault on Friday evening is still found on Monday.
  package var idempotencyKeys: Duration = .seconds(72 * 3600)
  /// How long holds stay that lapsed or were released, from their end on; never shorter than the keys that made them.
  package var holds: Duration = .seconds(7 * 24 * 3600)
  /// How long a success waits for an order that does not come, before its money is due to be given back. A failure
  /// waits for 30 days.
  package var parkedEvents: Duration = .seconds(30 * 24 * 3600)

  package init() {}
}
