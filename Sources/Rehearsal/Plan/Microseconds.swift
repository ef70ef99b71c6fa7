/// Microseconds. A point in time counts from the start of the run, so it is the same in the report and in the JSON.
package typealias Microseconds = Int64

extension Microseconds {
  package static let perSecond: Microseconds = 1_000_000

  static func seconds(_ seconds: Double) -> Microseconds { Microseconds((seconds * Double(perSecond)).rounded()) }

  static func milliseconds(_ milliseconds: Int64) -> Microseconds { milliseconds * 1000 }

  var inSeconds: Double { Double(self) / Double(Self.perSecond) }
  var inMilliseconds: Double { Double(self) / 1000 }
}
