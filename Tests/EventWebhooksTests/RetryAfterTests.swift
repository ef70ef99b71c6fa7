import Testing

@testable import EventWebhooks

@Suite struct RetryAfterTests {
  /// Sun, 06 Nov 1994 08:49:37 GMT.
  private static let date: Int64 = 784_111_777

  @Test(
    arguments: [
      ("0", 0), ("120", 120), ("86400", 86_400), ("86401", 86_400), ("99999999999999999999999", 86_400),
      ("Sun, 06 Nov 1994 08:50:37 GMT", 60), ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
      ("Mon, 06 Nov 1995 08:49:37 GMT", 86_400),
    ] as [(String, Int64)])
  func `seconds and dates are read, at most a day`(text: String, seconds: Int64) {
    #expect(Duration(retryAfter: text, now: Self.date) == .seconds(seconds))
  }

  @Test(
    arguments: [
      nil, "", "-1", "+5", "1.5", " 5", "5s", "soon", "Sun, 06 Nov 1994 08:49:37 CET", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "１２",
    ] as [String?])
  func `any other text is ignored`(text: String?) {
    #expect(Duration(retryAfter: text, now: Self.date) == nil)
  }
}
