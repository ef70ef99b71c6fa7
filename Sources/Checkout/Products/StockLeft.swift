import Postgres
import Time

/// What a buyer who found too little stock can count on.
package struct StockLeft: Sendable, Equatable {
  /// Units that can be held: fewer than were asked for.
  package let available: Int32
  /// Units in active holds, which may come back.
  package let held: Int32
  /// When the first units will come back if nobody acts: the earliest end of a hold or of an unpaid order's time. Nil
  /// when there is neither.
  package let nextReleaseAt: Timestamp?
  /// How long that is from when this was read.
  package let nextReleaseIn: Duration?
}

extension StockLeft {
  /// Reads four columns; nil when the first two are null.
  init?(_ row: inout Row) throws {
    let available = try row.decodeIfPresent(Int32.self)
    let held = try row.decodeIfPresent(Int32.self)
    let nextReleaseAt = try row.decodeIfPresent(Timestamp.self)
    let nextReleaseIn = try row.decodeIfPresent(Int64.self).map { Duration.microseconds($0) }
    guard let available, let held else { return nil }
    self.init(available: available, held: held, nextReleaseAt: nextReleaseAt, nextReleaseIn: nextReleaseIn)
  }
}
