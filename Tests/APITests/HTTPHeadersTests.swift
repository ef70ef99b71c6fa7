import NIOHTTP1
import Testing

@testable import API

@Suite struct HTTPHeadersTests {
  @Test func `a header name matches in any letter case`() {
    let headers: HTTPHeaders = ["X-REQUEST-id": "1", "x-request-i": "2"]
    #expect(headers.value(ofLowercased: "x-request-id") == "1")
    #expect(headers.value(ofLowercased: "x-request") == nil)
  }

  @Test func `the values of repeated fields are joined`() {
    let headers: HTTPHeaders = ["A": " 1\t", "B": "2", "a": "3"]
    #expect(headers.value(ofLowercased: "a") == "1, 3")
    #expect(headers.value(ofLowercased: "a", separator: " ") == "1 3")
  }

  /// In Swift, a space and a combining mark after it form one character.
  @Test func `trimming removes a space before a combining mark and keeps the mark`() {
    #expect(" \u{301}a\u{301} ".trimmingWhiteSpace().unicodeScalars.map(\.value) == [0x301, 0x61, 0x301])
    #expect("\t \t".trimmingWhiteSpace() == "")
    #expect("a b".trimmingWhiteSpace() == "a b")
  }
}
