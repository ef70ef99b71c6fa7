import Dispatch

/// A point in time on this machine's monotonic clock. It orders events in one process. For a time of day, use
/// `Timestamp`.
///
/// It replaces `ContinuousClock.Instant`, whose layout the compiler does not know. So copying a type that contains one
/// is slow.
package struct Moment: Hashable, Comparable, Sendable {
  /// Nanoseconds since a start that is the same for the whole process.
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
