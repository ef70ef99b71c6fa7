import Testing

@testable import API

@Suite struct JSONNumberTests {
  private func integer(_ text: String) -> Int64? {
    Array(text.utf8).withUnsafeBytes { Int64(jsonNumber: $0[...]) }
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("0.000", 0), ("0e999999999", 0), ("7", 7), ("-7", -7), ("120", 120), ("1001", 1001),
    ("1.50e1", 15), ("0.0007e4", 7), ("1200e-2", 12), ("1.00000000000000000000000000", 1), ("5E+3", 5000),
    ("9007199254740993.0", 9_007_199_254_740_993), ("9223372036854775807", Int64.max),
    ("-9223372036854775807", -Int64.max), ("9223372036854775807000e-3", Int64.max), ("1e18", 1_000_000_000_000_000_000),
  ])
  func `a JSON number with an integer value is read exactly`(text: String, value: Int64) {
    #expect(integer(text) == value)
  }

  @Test(arguments: [
    "0.5", "1e-1", "10.01", "9223372036854775808", "-9223372036854775808", "1e19", "1e999999999999999999999",
    "1e-999999999999999999999", "123456789012345678901234567890",
  ])
  func `a fraction or a number out of range is not an integer`(text: String) {
    #expect(integer(text) == nil)
  }
}
