import NIOHTTP1

/// Problems of requests that are refused before they reach a route.
extension Problem {
  static let expectationFailed = Problem(.expectationFailed, "The server supports no expectation except 100-continue.")
  static let misdirectedRequest = Problem(
    .misdirectedRequest, "This server accepts only localhost, 127.0.0.1 and [::1] as Host.")
  static let requestTimeout = Problem(
    .requestTimeout, "The request did not arrive completely in time. Nothing was done.")

  static func malformedHTTP(_ reason: String) -> Problem {
    Problem(.malformedRequest, "The request is not valid HTTP/1.1: \(reason).")
  }

  init(_ error: HTTPParserError) {
    self =
      switch error {
      case .headerOverflow:
        Problem(
          .headersTooLarge,
          """
          The address and headers may have at most \(RequestDecoder.maximumHeaderBytes) bytes together, in at most \
          \(RequestDecoder.maximumHeaderCount) header fields.
          """)
      // The decoder reports all errors in the length of the body as `unknown`.
      case .unknown: .malformedHTTP("its headers do not give the length of its body")
      // The parser pauses at the connection preface of HTTP/2.
      case .paused: .malformedHTTP("it has another version")
      default: .malformedHTTP("\(error)")
      }
  }
}
