import Time

extension Timestamp: PostgresEncodable, PostgresDecodable {
  /// 2000-01-01T00:00:00Z in microseconds since 1970. PostgreSQL counts from it.
  private static let postgresEpoch: Int64 = 946_684_800_000_000

  package static var postgresType: UInt32 { TypeID.timestamptz }
  package static var readableTypes: [UInt32] { [TypeID.timestamptz] }

  package func encode(into bytes: inout [UInt8]) {
    (microsecondsSince1970 - Self.postgresEpoch).encodeBigEndian(into: &bytes)
  }

  package static func decode(_ bytes: UnsafeRawBufferPointer) -> Timestamp? {
    guard let microseconds = Int64(bigEndianBytes: bytes) else { return nil }
    // `infinity` and `-infinity` are the largest and the smallest value. They are no timestamps.
    let (sum, overflow) = microseconds.addingReportingOverflow(postgresEpoch)
    return overflow || microseconds == .min ? nil : Timestamp(microsecondsSince1970: sum)
  }
}
