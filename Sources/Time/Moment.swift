import Dispatch

/// A point in time on the monotonic clock of this machine. It orders what happens in one process; `Timestamp` is for people.
///
/// The layout of `ContinuousClock.Instant` is not known to the compiler: a type with one in it is copied field by field, by
/// look-ups at run time.
package struct Moment: Hashable, Comparable, Sendable {
  /// Since a start that is the same for the whole process.
  package let nanoseconds: Int64

  private init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  package static var now: Moment { Moment(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

  package static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

  package static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(nanoseconds: moment.nanoseconds + Int64(duration / .nanoseconds(1)))
  }

  package static func - (moment: Moment, duration: Duration) -> Moment { moment + (.zero - duration) }

  package static func - (left: Moment, right: Moment) -> Duration { .nanoseconds(left.nanoseconds - right.nanoseconds) }
}
