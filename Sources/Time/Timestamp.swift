/// A moment as PostgreSQL keeps it in `timestamptz`: whole microseconds.
///
/// `Date` counts in floating-point seconds and would round; comparing a deadline with what the database holds must not.
package struct Timestamp: Hashable, Comparable, Sendable {
  /// Since 1970-01-01T00:00:00Z, leap seconds not counted; negative before it.
  package let microsecondsSince1970: Int64

  package init(microsecondsSince1970: Int64) {
    self.microsecondsSince1970 = microsecondsSince1970
  }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microsecondsSince1970 < right.microsecondsSince1970
  }
}
