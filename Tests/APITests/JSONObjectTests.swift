import Foundation
import Testing

@testable import API

@Suite struct JSONObjectTests {
  private func text(_ write: (inout JSONObject) -> Void) -> String {
    var object = JSONObject()
    write(&object)
    return String(buffer: object.finished())
  }

  @Test func `members keep the order in which they were added`() {
    #expect(text { _ in } == "{}")
    let written = text { json in
      json.add("z", 1)
      json.add("a", "x")
      json.add("n", nil as String?)
      json.add("b", true)
      json.add("list", [1, 2]) { $1.add("v", $0) }
      json.add("none", [Int]()) { $1.add("v", $0) }
      json.add("json", json: #"{"x": [1]}"#)
      json.add("no_json", json: nil)
    }
    #expect(
      written == #"{"z":1,"a":"x","n":null,"b":true,"list":[{"v":1},{"v":2}],"none":[],"json":{"x": [1]},"#
        + #""no_json":null}"#)
  }

  @Test func `objects nest, and numbers may have decimals`() {
    let written = text { json in
      json.add("inner") { json in
        json.add("empty") { _ in }
        json.add("list", [1]) { $1.add("v", Double($0) / 8) }
        json.add("none", nil as Double?)
      }
      json.add("numbers", numbers: [("a-b", 1), ("\"", 0.5)])
      json.add("no numbers", numbers: [])
      json.add("no object", object: nil)
      json.add("last", 1)
    }
    #expect(
      written
        == #"{"inner":{"empty":{},"list":[{"v":0.125}],"none":null},"numbers":{"a-b":1.0,"\"":0.5},"#
        + #""no numbers":{},"no object":null,"last":1}"#)
  }

  @Test func `an encoded string decodes to the same string`() throws {
    let scalars = (0...0x2FF).compactMap(Unicode.Scalar.init) + ["\u{2028}", "\u{FFFD}", "😀", "\u{10FFFF}"]
    var string = "\"\\/"
    string.unicodeScalars.append(contentsOf: scalars)
    let data = Data(text { $0.add("s", string) }.utf8)
    #expect(try JSONDecoder().decode([String: String].self, from: data) == ["s": string])
  }
}
