import Dispatch

/// A point in time on this machine's monotonic clock. It orders events in one process. For a time of day, use
/// `Timestamp`.
///
/// It replaces `ContinuousClock.Instant`, whose layout the compiler does not know. So copying a type that contains one
/// is slow.
///
/// The members are inlinable. A request reads and compares the clock dozens of times, in several modules.
@usableFromInline package struct Moment: Hashable, Comparable, Sendable {
  /// Nanoseconds since a start that is the same for the whole process.
  @usableFromInline package let nanoseconds: Int64

  @usableFromInline init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  @inlinable package static var now: Moment { Moment(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

  @inlinable package static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

  @inlinable package static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(nanoseconds: moment.nanoseconds + Int64(duration / .nanoseconds(1)))
  }

  @inlinable package static func - (moment: Moment, duration: Duration) -> Moment { moment + (.zero - duration) }

  @inlinable package static func - (left: Moment, right: Moment) -> Duration {
    .nanoseconds(left.nanoseconds - right.nanoseconds)
  }
}
