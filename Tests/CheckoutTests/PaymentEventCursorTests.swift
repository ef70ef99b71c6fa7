import Foundation
import Testing

@testable import Checkout

@Suite struct PaymentEventCursorTests {
  private func cursor(_ plain: String) -> PaymentEventPage.Cursor? {
    PaymentEventPage.Cursor(
      text: Data(plain.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_"))
  }

  /// To Swift, the space and the mark behind it are one character.
  @Test func `a key may begin with a combining mark`() throws {
    let found = try #require(cursor("1700000000000000 \u{301}key"))
    #expect(found.idempotencyKey.unicodeScalars.elementsEqual("\u{301}key".unicodeScalars))
    #expect(try #require(PaymentEventPage.Cursor(text: found.text)).idempotencyKey == found.idempotencyKey)
  }

  @Test(arguments: ["", "1", "1 ", "x k", "-1 k", "1\u{A0}k", "253402300800000000 k", "1 \0"])
  func `what is no cursor of ours is refused`(plain: String) {
    #expect(cursor(plain) == nil)
  }
}
