import Glibc

extension Duration {
  /// The longest time that a receiver can ask for.
  private static let longestRetryAfter: Int64 = 86_400  // seconds

  private static let months: [Substring] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// The value of a `Retry-After` field: a number of seconds, or a date (RFC 9110, section 10.2.3).
  ///
  /// - Parameters:
  ///   - text: nil, and a text that is neither, give nil. So do the obsolete forms of a date.
  ///   - now: Unix seconds.
  /// - Returns: zero for a date in the past, and at most a day.
  init?(retryAfter text: String?, now: Int64) {
    guard let text, !text.isEmpty else { return nil }
    let seconds: Int64
    if text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) {
      seconds = Int64(text) ?? .max
    } else if let date = Self.unixSeconds(text) {
      seconds = date - now
    } else {
      return nil
    }
    self = .seconds(min(max(0, seconds), Self.longestRetryAfter))
  }

  /// A date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
  private static func unixSeconds(_ text: String) -> Int64? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), 1...31 ~= day,
      let month = months.firstIndex(of: words[2]), let year = Int32(words[3]), 1970...9999 ~= year
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int32($0) }
    guard clock.count == 3, 0...23 ~= clock[0], 0...59 ~= clock[1], 0...60 ~= clock[2] else { return nil }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
    return Int64(timegm(&parts))
  }
}
