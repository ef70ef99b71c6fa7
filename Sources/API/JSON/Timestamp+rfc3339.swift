import Time

extension Timestamp {
  /// RFC 3339 in UTC with milliseconds, such as `2026-11-22T09:30:00.250Z`. The year must be 1 to 9999.
  ///
  /// Foundation's formatter takes several times as long, and every hold has a time.
  package var rfc3339: String {
    let milliseconds = Self.dividing(microsecondsSince1970, by: 1000).quotient
    let (days, millisecondOfDay) = Self.dividing(milliseconds, by: 86_400_000)
    let (year, month, day) = Self.civilDate(daysSince1970: days)
    return String(unsafeUninitializedCapacity: 24) { buffer in
      func put(_ value: Int64, at offset: Int, digits: Int) {
        var value = value
        for index in stride(from: offset + digits - 1, through: offset, by: -1) {
          buffer[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10)
          value /= 10
        }
      }
      _ = buffer.update(fromContentsOf: "0000-00-00T00:00:00.000Z".utf8)
      put(year, at: 0, digits: 4)
      put(month, at: 5, digits: 2)
      put(day, at: 8, digits: 2)
      put(millisecondOfDay / 3_600_000, at: 11, digits: 2)
      put(millisecondOfDay / 60_000 % 60, at: 14, digits: 2)
      put(millisecondOfDay / 1000 % 60, at: 17, digits: 2)
      put(millisecondOfDay % 1000, at: 20, digits: 3)
      return 24
    }
  }

  /// Reads a date and time with an offset (RFC 3339, section 5.6). Nil if the text is not valid.
  ///
  /// The year must be 1 to 9999, also in UTC. Leap seconds are invalid. Digits after the milliseconds are dropped,
  /// because responses have milliseconds.
  package init?(rfc3339 text: String) {
    let pattern = /(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))/
      .asciiOnlyDigits()
    guard let match = text.wholeMatch(of: pattern)?.output else { return nil }
    func number(_ digits: Substring) -> Int64 { Int64(digits) ?? 0 }
    let (year, month, day) = (number(match.1), number(match.2), number(match.3))
    let days = Self.daysSince1970(year: year, month: month, day: day)
    let (hour, minute, second) = (number(match.4), number(match.5), number(match.6))
    let offset = (match.9.map(number) ?? 0, match.10.map(number) ?? 0)
    // `civilDate` returns another date if this one does not exist.
    guard year >= 1, Self.civilDate(daysSince1970: days) == (year, month, day), hour < 24, minute < 60, second < 60,
      offset.0 < 24, offset.1 < 60
    else { return nil }
    let milliseconds = match.7.map { number(($0 + "00").prefix(3)) } ?? 0
    let offsetMinutes = (offset.0 * 60 + offset.1) * (match.8 == "-" ? -1 : 1)
    let seconds = days * 86_400 + hour * 3600 + (minute - offsetMinutes) * 60 + second
    self.init(microsecondsSince1970: (seconds * 1000 + milliseconds) * 1000)
    // The year in UTC may differ.
    guard Self.years ~= Self.civilDate(daysSince1970: Self.dividing(seconds, by: 86_400).quotient).year else {
      return nil
    }
  }

  private static let years: ClosedRange<Int64> = 1...9999

  /// The inverse of `civilDate` (`days_from_civil` in the same source).
  private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = dividing(year, by: 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The proleptic Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
  private static func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = dividing(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }

  /// Division that rounds down. The remainder is never negative.
  private static func dividing(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
