import NIOHTTP1

/// Requests that are refused for what they are in HTTP, before any route sees them.
extension Problem {
  static let expectationFailed = Problem(.expectationFailed, "The only expectation that is met is 100-continue.")
  static let misdirectedRequest = Problem(
    .misdirectedRequest, "This server answers for localhost, 127.0.0.1 and [::1]; Host names another.")
  static let requestTimeout = Problem(
    .requestTimeout, "The request did not arrive whole in time. Nothing was done.")

  static func malformedHTTP(_ reason: String) -> Problem {
    Problem(.malformedRequest, "This is not a request that HTTP/1.1 knows: \(reason).")
  }

  init(_ error: HTTPParserError) {
    self =
      switch error {
      case .headerOverflow:
        Problem(
          .headersTooLarge,
          """
          The address and headers have at most \(RequestDecoder.maximumHeaderBytes) bytes together, and there are at most \
          \(RequestDecoder.maximumHeaderCount) header fields.
          """)
      // The decoder's name for everything about the length of the body.
      case .unknown: .malformedHTTP("its headers do not tell the length of its body")
      // The preface of HTTP/2, which the parser would hand over to another.
      case .paused: .malformedHTTP("it is of another version")
      default: .malformedHTTP("\(error)")
      }
  }
}
