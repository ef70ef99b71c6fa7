import Foundation
import Testing

@testable import API

@Suite struct JSONSyntaxTests {
  private func check(_ text: some Sequence<UInt8>) throws {
    try Array(text).withUnsafeBytes { _ = try JSONSyntax.members(of: $0) }
  }

  private static func nested(_ levels: Int) -> String {
    #"{"a":"# + String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1) + "}"
  }

  @Test(arguments: [
    "{}", " \t\r\n{ } \n", #"{"a":1}"#, #"{"a":-0,"b":0.5e+10,"c":1E-2,"d":120}"#,
    #"{"a":[1,{"b":[]},"c",true,false,null]}"#,
    #"{"":"","\u0000":"\"\\\/\b\f\n\r\t\u00e9"}"#, #"{"a":"\ud83d\ude00"}"#, #"{"a":"é€😀\#u{7F}"}"#, nested(32),
    #"{"a":{"b":1,"b":2}}"#,
  ])
  func `one JSON object is accepted`(text: String) throws {
    try check(text.utf8)
  }

  @Test(arguments: [
    "", " ", "{", #"{"a"#, #"{"a""#, #"{"a":"#, #"{"a":1"#, #"{"a":1,"#, #"{"a":1,}"#, #"{,}"#, #"{"a":[1,]}"#,
    #"{"a":[1"#,
    "{}x", "{}{}", "[]", "1", "null", #""a""#, "x", "{a:1}", "{'a':1}", #"{"a" 1}"#, #"{"a":1 "b":2}"#, #"{"a":[1}"#,
    #"{"a":01}"#, #"{"a":+1}"#, #"{"a":.5}"#, #"{"a":1.}"#, #"{"a":1e}"#, #"{"a":--1}"#, #"{"a":-}"#, #"{"a":0x1}"#,
    #"{"a":NaN}"#, #"{"a":Infinity}"#, #"{"a":nul}"#, #"{"a":True}"#, #"{"a":undefined}"#, "/**/{}", "{}//",
    "\u{FEFF}{}",
    #"{"a":"\q"}"#, #"{"a":"\u12"}"#, #"{"a":"\u12g4"}"#, "{\"a\":\"\n\"}", "{\"a\":\"\u{0}\"}", #"{"a":"b}"#,
    "{}\u{0}",
    #"{"a":"\ud800"}"#, #"{"a":"\udc00"}"#, #"{"a":"\ud800x"}"#, #"{"a":"\ud800\n"}"#, #"{"a":"\ud800\ud800"}"#,
    #"{"\udfff":1}"#, #"{"a":"\u"#, nested(33), nested(5000), #"{"a":1,"a":2}"#, #"{"qty":1,"\u0071ty":2}"#,
  ])
  func `text that is not one valid JSON object is refused`(text: String) {
    #expect(throws: JSONSyntax.Violation.self) { try check(text.utf8) }
  }

  @Test(
    arguments: [
      [0xFF], [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x9F, 0xBF], [0xE2, 0x82], [0xED, 0xA0, 0x80],
      [0xF0, 0x8F, 0xBF, 0xBF],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF0, 0x9F, 0x98],
    ] as [[UInt8]])
  func `invalid UTF-8 is refused`(bytes: [UInt8]) {
    #expect(throws: JSONSyntax.Violation.self) { try check(#"{"a":""#.utf8 + bytes + #""}"#.utf8) }
    #expect(throws: JSONSyntax.Violation.self) { try check(#"{"a":""#.utf8 + bytes) }
  }

  @Test(arguments: [2, 16, 17, 40])
  func `a duplicate member is reported with its offset`(count: Int) throws {
    let names = (1..<count).map { #""m\#($0)":1,"# }.joined()
    let text = "{" + names + #""m1":"#
    let violation = try #require(throws: JSONSyntax.Violation.self) { try check((text + "2}").utf8) }
    #expect(violation.offset == text.utf8.count)
  }

  /// Each two names look the same, but their bytes differ.
  @Test(arguments: [0, 20])
  func `member names are compared by bytes`(more: Int) throws {
    let others = (0..<more).map { #","m\#($0)":1"# }.joined()
    for names in [(#"\u00e9"#, #"e\u0301"#), ("é", "e\u{301}"), ("\u{212A}", "K"), ("\u{FB01}", "fi")] {
      try check(#"{"\#(names.0)":1,"\#(names.1)":2\#(others)}"#.utf8)
    }
    #expect(throws: JSONSyntax.Violation.self) { try check(#"{"é":1,"\u00e9":2\#(others)}"#.utf8) }
  }

  @Test func `UTF-16 and UTF-32 are refused`() throws {
    for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf32BigEndian] {
      let data = try #require(#"{"a":"b"}"#.data(using: encoding))
      #expect(throws: JSONSyntax.Violation.self) { try check(data) }
    }
  }

  /// The parser must not read past the end of its input.
  @Test func `each proper prefix of an object is refused`() throws {
    let text = Array(#" {"a":[-1.5e3,true,null],"\ud83d\ude00":"é€😀","b":{"c":"\n"}}"#.utf8)
    try check(text)
    for length in text.indices { #expect(throws: JSONSyntax.Violation.self) { try check(text.prefix(length)) } }
  }

  /// A body can contain thousands of members. Names are compared by hash, because comparing each pair would be slow.
  @Test func `a duplicate among thousands of members is refused`() throws {
    let members = (0..<3000).map { #""\#($0)":1"# }
    try check("{\(members.joined(separator: ","))}".utf8)
    #expect(throws: JSONSyntax.Violation.self) { try check("{\((members + ["\"7\":2"]).joined(separator: ","))}".utf8) }
  }
}
