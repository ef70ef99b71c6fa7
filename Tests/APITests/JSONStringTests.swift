import Testing

@testable import API

@Suite struct JSONStringTests {
  private func text(_ string: String) -> String {
    Array(string.utf8).withUnsafeBytes { JSONSyntax.text(ofString: $0[...]) }
  }

  @Test(arguments: [
    (#""""#, ""), (#""a b""#, "a b"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\u20AC""#, "é€"),
    (#""a\ud83d\ude00b""#, "a😀b"), (#""é\u0000€""#, "é\0€"), (#""\\u0041""#, #"\u0041"#),
  ])
  func `the escapes in a JSON string are decoded`(string: String, meaning: String) {
    #expect(text(string) == meaning)
  }
}
