import Postgres
import Time

/// The stock that a request was too large for, and when units may come back.
package struct StockLeft: Sendable, Equatable {
  /// The units that can be held. The request needs more.
  package let available: Int32
  /// The units in active holds, which may come back.
  package let held: Int32
  /// The earliest end of a hold or of an unpaid order's payment time. Nil when there is neither.
  package let nextReleaseAt: Timestamp?
  /// The time until `nextReleaseAt`, from when this was read.
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
