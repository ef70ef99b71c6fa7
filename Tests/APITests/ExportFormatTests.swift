import Testing

@testable import API

@Suite struct ExportFormatTests {
  private static func line(_ values: ListValue...) -> String {
    var line = CSVLine()
    for value in values { line.add(value) }
    return String(decoding: line.finished(), as: UTF8.self)
  }

  @Test func `values are separated by commas, and null is empty`() {
    #expect(Self.line(.text("a"), .number(-12), .text(nil), .object(nil), .text("")) == "a,-12,,,\r\n")
  }

  @Test(
    arguments: [
      ("a,b", #""a,b""#), (#"say "hi""#, #""say ""hi""""#), ("a\nb", "\"a\nb\""), ("a\r\nb", "\"a\r\nb\""),
      (" a ", " a "), ("é\u{301}", "é\u{301}"), ("a;b", "a;b"), ("'a", "'a"),
    ])
  func `a text is quoted where RFC 4180 requires it`(text: String, cell: String) {
    #expect(Self.line(.text(text)) == cell + "\r\n")
  }

  @Test(
    arguments: [
      ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"),
      ("=HYPERLINK(\"x\",\"y\")", #""'=HYPERLINK(""x"",""y"")""#), ("\r=1", "\"'\r=1\""), ("a=1", "a=1"),
    ])
  func `a text that begins like a formula gets an apostrophe`(text: String, cell: String) {
    #expect(Self.line(.text(text)) == cell + "\r\n")
  }

  @Test func `an object is one cell`() {
    #expect(Self.line(.object(#"{"cart": "1,001"}"#)) == #""{""cart"": ""1,001""}""# + "\r\n")
  }
}
