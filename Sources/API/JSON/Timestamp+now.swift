import FoundationEssentials
import Time

extension Timestamp {
  /// The time of this machine's clock. Times of holds, orders and payments come from the database's clock instead.
  static var now: Timestamp {
    Timestamp(microsecondsSince1970: Int64(Date().timeIntervalSince1970 * 1_000_000))
  }
}
