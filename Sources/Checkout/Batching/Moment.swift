import Dispatch

/// A moment of this process, for what is kept of each caller.
///
/// The layout of `ContinuousClock.Instant` is not known to the compiler: whatever has one in it is copied field by field,
/// by look-ups at run time.
struct Moment: Comparable, Sendable {
  private let nanoseconds: Int64

  static var now: Moment { Moment(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

  static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

  static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(nanoseconds: moment.nanoseconds + Int64(duration / .nanoseconds(1)))
  }
  static func - (moment: Moment, duration: Duration) -> Moment { moment + (.zero - duration) }
  static func - (left: Moment, right: Moment) -> Duration { .nanoseconds(right.nanoseconds(until: left)) }

  func nanoseconds(until later: Moment) -> Int64 { later.nanoseconds - nanoseconds }
}
