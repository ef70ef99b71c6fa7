/// A moment as PostgreSQL keeps it in `timestamptz`: whole microseconds.
///
/// `Date` counts in floating-point seconds and would round; comparing a deadline with what the database holds must not.
public struct Timestamp: Hashable, Comparable, Sendable {
  /// Since 1970-01-01T00:00:00Z, leap seconds not counted; negative before it.
  public let microsecondsSince1970: Int64

  public init(microsecondsSince1970: Int64) {
    self.microsecondsSince1970 = microsecondsSince1970
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microsecondsSince1970 < right.microsecondsSince1970
  }
}

extension Timestamp: PostgresEncodable, PostgresDecodable {
  /// PostgreSQL counts from 2000-01-01T00:00:00Z.
  private static let postgresEpoch: Int64 = 946_684_800_000_000

  public static var postgresType: UInt32 { TypeID.timestamptz }
  public static var readableTypes: [UInt32] { [TypeID.timestamptz] }

  public func encode(into bytes: inout [UInt8]) {
    (microsecondsSince1970 - Self.postgresEpoch).encodeBigEndian(into: &bytes)
  }

  public static func decode(_ bytes: UnsafeRawBufferPointer) -> Timestamp? {
    guard let microseconds = Int64(bigEndianBytes: bytes) else { return nil }
    // `infinity` and `-infinity` are the two ends of the range, which the sum would overflow.
    let (sum, overflow) = microseconds.addingReportingOverflow(postgresEpoch)
    return overflow || microseconds == .min ? nil : Timestamp(microsecondsSince1970: sum)
  }
}
