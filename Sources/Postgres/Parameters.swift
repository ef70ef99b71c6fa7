/// The values of a statement's parameters in PostgreSQL's binary format.
package struct Parameters {
  private var bytes: [UInt8] = []
  /// The range of each value in `bytes`; nil is SQL null.
  private var ranges: [Range<Int>?] = []

  init() {}

  /// Appends the value of the next `$n`.
  package mutating func append<Value: PostgresEncodable>(_ value: Value) {
    guard !value.isNull else { return ranges.append(nil) }
    let start = bytes.count
    value.encode(into: &bytes)
    ranges.append(start..<bytes.count)
  }

  /// Lends the count, values, lengths and formats for `PQsendQueryParams` (PostgreSQL documentation, chapter 34.4).
  func withLibPQArrays<Result>(
    _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>, UnsafePointer<Int32>) -> Result
  ) -> Result {
    bytes.withUnsafeBytes { bytes in
      let values = ranges.map { range -> UnsafePointer<CChar>? in
        guard let range else { return nil }
        // An empty value is not null, so it needs an address, even when `bytes` is empty.
        guard let base = bytes.baseAddress else { return Self.emptyValue }
        return (base + range.lowerBound).assumingMemoryBound(to: CChar.self)
      }
      let lengths = ranges.map { Int32($0?.count ?? 0) }
      let formats = [Int32](repeating: Format.binary, count: ranges.count)
      return body(Int32(ranges.count), values, lengths, formats)
    }
  }

  private static var emptyValue: UnsafePointer<CChar> {
    UnsafePointer(bitPattern: MemoryLayout<CChar>.alignment)!
  }
}

/// libpq's codes for the format of a parameter or a result.
enum Format {
  static let binary: Int32 = 1
}
