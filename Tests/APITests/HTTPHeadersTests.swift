import NIOHTTP1
import Testing

@testable import API

@Suite struct HTTPHeadersTests {
  @Test func `a name is found in whatever case`() {
    let headers: HTTPHeaders = ["X-REQUEST-id": "1", "x-request-i": "2"]
    #expect(headers.value(ofLowercased: "x-request-id") == "1")
    #expect(headers.value(ofLowercased: "x-request") == nil)
  }

  @Test func `values of several fields are joined`() {
    let headers: HTTPHeaders = ["A": " 1\t", "B": "2", "a": "3"]
    #expect(headers.value(ofLowercased: "a") == "1, 3")
    #expect(headers.value(ofLowercased: "a", separator: " ") == "1 3")
  }

  /// To Swift, a space and the mark behind it are one character.
  @Test func `white space ends before a combining mark`() {
    #expect(" \u{301}a\u{301} ".trimmingWhiteSpace().unicodeScalars.map(\.value) == [0x301, 0x61, 0x301])
    #expect("\t \t".trimmingWhiteSpace() == "")
    #expect("a b".trimmingWhiteSpace() == "a b")
  }
}
