import Foundation
import Postgres
import Testing
import Time

@testable import API

@Suite struct TimestampTests {
  @Test func `a timestamp is written in UTC with milliseconds`() {
    #expect(Timestamp(microsecondsSince1970: 0).rfc3339 == "1970-01-01T00:00:00.000Z")
    #expect(Timestamp(microsecondsSince1970: 951_782_399_999_999).rfc3339 == "2000-02-28T23:59:59.999Z")
    #expect(Timestamp(microsecondsSince1970: 951_782_400_000_000).rfc3339 == "2000-02-29T00:00:00.000Z")
    #expect(Timestamp(microsecondsSince1970: -1).rfc3339 == "1969-12-31T23:59:59.999Z")
  }

  @Test func `written timestamps agree with Foundation`() {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    // Foundation uses the Julian calendar before 1582, so all dates are later.
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let milliseconds = Int64.random(in: -12_000_000_000_000...250_000_000_000_000, using: &random)
      let date = Date(timeIntervalSince1970: Double(milliseconds / 1000))
      let expected = style.format(date).prefix(19)
      #expect(Timestamp(microsecondsSince1970: milliseconds / 1000 * 1_000_000).rfc3339.prefix(19) == expected)
    }
  }
}
