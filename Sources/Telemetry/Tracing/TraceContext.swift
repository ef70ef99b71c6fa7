/// The position of a span in a trace, which programs send to each other (W3C Trace Context, level 1,
/// https://www.w3.org/TR/trace-context/).
package struct TraceContext: Sendable, Equatable {
  package let traceID: TraceID
  /// The id of the span. For a receiver, it is the id of the parent. Never zero.
  package let spanID: UInt64
  /// Whether the trace is recorded.
  package let isSampled: Bool
  /// Data of tracing vendors, which is passed on unchanged.
  package let traceState: String?

  package init(traceID: TraceID, spanID: UInt64, isSampled: Bool, traceState: String? = nil) {
    self.traceID = traceID
    self.spanID = spanID
    self.isSampled = isSampled
    self.traceState = traceState
  }

  /// - Parameters:
  ///   - traceParent: the value of `traceparent`. If it is nil or invalid, the result is nil, and a new trace begins.
  ///   - traceState: the value of `tracestate`. An invalid value is dropped.
  package init?(traceParent: String?, traceState: String? = nil) {
    guard let bytes = traceParent.map({ Array($0.utf8) }), bytes.count >= Self.length else { return nil }
    // "00-" trace id "-" parent id "-" flags. Later versions have the same beginning, and may continue after a dash.
    guard let version = Self.hexadecimal(bytes[0..<2]), version != 0xff, bytes[2] == Self.dash,
      let high = Self.hexadecimal(bytes[3..<19]), let low = Self.hexadecimal(bytes[19..<35]), bytes[35] == Self.dash,
      let spanID = Self.hexadecimal(bytes[36..<52]), bytes[52] == Self.dash,
      let flags = Self.hexadecimal(bytes[53..<55]),
      bytes.count == Self.length || (version > 0 && bytes[Self.length] == Self.dash)
    else { return nil }
    let traceID = TraceID(high: high, low: low)
    guard !traceID.isZero, spanID != 0 else { return nil }
    self.init(
      traceID: traceID, spanID: spanID, isSampled: flags & 1 == 1,
      traceState: traceState.flatMap { Self.isValid(traceState: $0) ? $0 : nil })
  }

  /// The value of `traceparent`, in version 00, which has only the flag `sampled`.
  package var traceParent: String {
    "00-\(traceID)-\(hexadecimalText(spanID))-\(isSampled ? "01" : "00")"
  }

  private static let length = 55
  private static let dash = UInt8(ascii: "-")

  /// The value of lower-case hexadecimal digits. Nil for other bytes; the recommendation forbids upper case.
  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return value
  }

  /// The length that a program must at least pass on. A longer value is dropped.
  private static let maximumTraceStateLength = 512
  private static let maximumTraceStateMembers = 32

  /// Whether the value is a list of `key=value` in which each key occurs once (section 3.3.1 of the recommendation).
  private static func isValid(traceState: String) -> Bool {
    guard traceState.utf8.count <= maximumTraceStateLength else { return false }
    var keys: Set<Substring> = []
    for member in traceState.split(separator: ",", omittingEmptySubsequences: false) {
      let member = member.trimmingSpaces()
      if member.isEmpty { continue }
      guard let equals = member.firstIndex(of: "=") else { return false }
      let (key, value) = (member[..<equals], member[member.index(after: equals)...])
      guard isValid(key: key), isValid(value: value), keys.insert(key).inserted else { return false }
    }
    return 1...maximumTraceStateMembers ~= keys.count
  }

  private static func isValid(key: Substring) -> Bool {
    guard let first = key.utf8.first, key.utf8.count <= 256 else { return false }
    let isLetter = { (byte: UInt8) in UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte }
    let isDigit = { (byte: UInt8) in UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
    return (isLetter(first) || isDigit(first))
      && key.utf8.allSatisfy { isLetter($0) || isDigit($0) || "_-*/@".utf8.contains($0) }
  }

  private static func isValid(value: Substring) -> Bool {
    1...256 ~= value.utf8.count && value.utf8.allSatisfy { 0x20...0x7E ~= $0 && $0 != UInt8(ascii: "=") }
  }
}

/// The id of a trace: 16 bytes, not all zero.
package struct TraceID: Sendable, Hashable, CustomStringConvertible {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  package var isZero: Bool { high == 0 && low == 0 }

  /// 32 lower-case hexadecimal digits.
  package var description: String { hexadecimalText(high) + hexadecimalText(low) }
}

/// 16 lower-case hexadecimal digits.
func hexadecimalText(_ value: UInt64) -> String {
  String(unsafeUninitializedCapacity: 16) { buffer in
    for index in 0..<16 {
      buffer[index] = hexadecimalDigit(UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * index)) & 15)
    }
    return 16
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring {
    let isSpace = { (character: Character) in character == " " || character == "\t" }
    guard let start = firstIndex(where: { !isSpace($0) }), let end = lastIndex(where: { !isSpace($0) }) else {
      return ""
    }
    return self[start...end]
  }
}
