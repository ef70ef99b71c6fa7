import NIOCore
import Testing

@testable import API

@Suite struct RequestBodiesTests {
  private struct Body: RequestBody {
    let count: Int32

    enum Member: String, CaseIterable {
      case count
    }

    init(from members: inout MemberReader<Member>) throws {
      // In one line, so that the reading changes what it is an argument of.
      count = try members.require(members.positiveInteger(.count))
    }
  }

  private func decode(_ text: String) throws -> Body {
    try RequestBodies.decode(from: ByteBuffer(string: text))
  }

  @Test func readsAnObjectWhateverElseIsInIt() throws {
    #expect(try decode(#" {"more":[1.5e400,{}],"c\u006funt":7} "#).count == 7)
  }

  /// JSON Schema has it that a number with a zero fraction is an integer, and some clients write all numbers so.
  @Test(arguments: ["7", "7.0", "7e0", "0.7E1"])
  func takesAnIntegerHoweverItIsWritten(value: String) throws {
    #expect(try decode(#"{"count":\#(value)}"#).count == 7)
  }

  @Test(arguments: [
    "1.5", "1e-1", "0", "0.0", "-1", "2147483648", "1e400", "\"1\"", "true", "null", "[1]", "{}",
  ])
  func takesNothingElseForACount(value: String) throws {
    let problem = try #require(throws: Problem.self) { try decode(#"{"count":\#(value)}"#) }
    #expect(problem.kind == .validation)
    #expect(problem.pointers == ["/count"])
  }

  @Test(arguments: ["", "[]", #"{"count":1,"count":1}"#, #"{"count":1,"x":"\ud800"}"#, #"{"count":1}}"#])
  func refusesWhatIsNoObject(text: String) throws {
    #expect(try #require(throws: Problem.self) { try decode(text) }.kind == .malformedRequest)
  }

  @Test func takesWhatMayBeJSON() {
    for type in [
      nil, "application/json", "application/json; charset=utf-8", "Application/JSON ;charset=\"utf-8\"",
      "application/problem+json", "application/x-www-form-urlencoded",
    ] {
      #expect(RequestBodies.isJSON(type), "\(type ?? "none")")
    }
    for type in [
      "", "text/plain", "application/xml", "json", "+json", "application/jsonx", "multipart/form-data; boundary=a",
    ] {
      #expect(!RequestBodies.isJSON(type), "\(type)")
    }
  }
}

@Suite struct JSONStringTests {
  private func text(_ string: String) -> String {
    Array(string.utf8).withUnsafeBytes { JSONSyntax.text(ofString: $0[...]) }
  }

  @Test(arguments: [
    (#""""#, ""), (#""a b""#, "a b"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\u20AC""#, "é€"),
    (#""a\ud83d\ude00b""#, "a😀b"), (#""é\u0000€""#, "é\0€"), (#""\\u0041""#, #"\u0041"#),
  ])
  func isWhatItsEscapesMean(string: String, meaning: String) {
    #expect(text(string) == meaning)
  }
}

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
  func isExact(text: String, value: Int64) {
    #expect(integer(text) == value)
  }

  @Test(arguments: [
    "0.5", "1e-1", "10.01", "9223372036854775808", "-9223372036854775808", "1e19", "1e999999999999999999999",
    "1e-999999999999999999999", "123456789012345678901234567890",
  ])
  func isNoIntegerOfThatSize(text: String) {
    #expect(integer(text) == nil)
  }
}
