import Checkout
import Time

/// The shop and the state of the database, as the ticks of this server show them.
struct TicksDatabase {
  /// The last shop that was read. It stays while the database is away.
  private(set) var shop: Shop?
  private(set) var isReachable = true
  /// The time when this server noticed the present state. It reads the database only while a stream is open.
  private(set) var since: Timestamp?
  /// A sentence that says why the database is not reachable.
  private(set) var reason: String?
  private var lateCount = 0

  /// A read that is late once means only that the machine is busy.
  private static let toleratedLateCount = 1

  /// - Parameter now: the time of the tick.
  mutating func note(_ reading: Shop.Reading, at now: Timestamp) {
    switch reading {
    case .read(let shop):
      self.shop = shop
      lateCount = 0
      change(to: nil, at: now)
    case .away(let reason):
      lateCount = 0
      change(to: reason, at: now)
    case .late:
      lateCount += 1
      if lateCount > Self.toleratedLateCount || since == nil { change(to: Shop.Reading.noAnswer, at: now) }
    }
  }

  private mutating func change(to reason: String?, at now: Timestamp) {
    if since == nil || isReachable != (reason == nil) { since = now }
    isReachable = reason == nil
    self.reason = reason
  }
}
