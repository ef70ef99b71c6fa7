import NIOCore

/// What became of one attempt to send a request.
struct HTTPResult: Sendable {
  /// A complete response.
  struct Response: Sendable {
    var status: Int
    var isReplay: Bool
    var retryAfterSeconds: Int?
    var body: [UInt8]
  }

  /// The time at which the request was written. If no connection could be made, the time of that failure.
  var sent: NIODeadline
  var ended: NIODeadline
  var outcome: Result<Response, LostResponse>
}

/// Why no complete response arrived.
struct LostResponse: Error, CustomStringConvertible {
  let description: String

  static func cannotConnect(_ error: any Error) -> LostResponse {
    LostResponse(description: "cannot connect: \(error)")
  }

  static let closed = LostResponse(description: "the connection closed before the response")
  static let timeout = LostResponse(description: "no response in time")
  static func malformed(_ error: any Error) -> LostResponse {
    LostResponse(description: "the response is not valid HTTP: \(error)")
  }
}
