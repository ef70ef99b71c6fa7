/// A point in time as in PostgreSQL's `timestamptz`: whole microseconds.
///
/// `Date` has floating-point seconds, so rounding could make a deadline differ from the database's value.
package struct Timestamp: Hashable, Comparable, Sendable {
  /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds. Negative before that time.
  package let microsecondsSince1970: Int64

  package init(microsecondsSince1970: Int64) {
    self.microsecondsSince1970 = microsecondsSince1970
  }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microsecondsSince1970 < right.microsecondsSince1970
  }
}
