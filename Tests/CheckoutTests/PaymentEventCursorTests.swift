import Foundation
import Testing

@testable import Checkout

@Suite struct PaymentEventCursorTests {
  private func cursor(_ plain: String) -> PaymentEventPage.Cursor? {
    PaymentEventPage.Cursor(
      text: Data(plain.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_"))
  }

  /// In Swift, the space and the combining mark are one character.
  @Test func `the key in a cursor may begin with a combining mark`() throws {
    let found = try #require(cursor("1700000000000000 \u{301}key"))
    #expect(found.idempotencyKey.unicodeScalars.elementsEqual("\u{301}key".unicodeScalars))
    #expect(try #require(PaymentEventPage.Cursor(text: found.text)).idempotencyKey == found.idempotencyKey)
  }

  @Test(arguments: ["", "1", "1 ", "x k", "-1 k", "1\u{A0}k", "253402300800000000 k", "1 \0"])
  func `a text that is not a cursor is refused`(plain: String) {
    #expect(cursor(plain) == nil)
  }
}
