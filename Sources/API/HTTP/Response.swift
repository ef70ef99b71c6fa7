import NIOCore
import NIOHTTP1

/// The response to a request.
struct Response: Sendable {
  typealias Headers = [(name: String, value: String)]

  enum Body: Sendable {
    case bytes(ByteBuffer)
    case stream(BodyStream)
  }

  let status: HTTPResponseStatus
  /// Without the fields that every response has, see `ResponseHead`.
  var headers: Headers
  var body: Body
  /// What was wrong, for the access log.
  var problem: (kind: Problem.Kind, reason: String?)?

  /// - Parameter contentType: the media type of the body.
  init(status: HTTPResponseStatus = .ok, contentType: String, headers: Headers = [], body: ByteBuffer) {
    self.status = status
    self.headers = [("Content-Type", contentType), ("Content-Length", String(body.readableBytes))] + headers
    self.body = .bytes(body)
  }

  /// A body whose length is not known when it begins.
  init(contentType: String, headers: Headers = [], stream: BodyStream) {
    status = .ok
    self.headers = [("Content-Type", contentType)] + headers
    body = .stream(stream)
  }

  /// - Parameter write: adds the members of the body.
  static func json(
    status: HTTPResponseStatus = .ok, headers: Headers = [], _ write: (inout JSONObject) -> Void
  ) -> Response {
    var object = JSONObject()
    write(&object)
    return Response(status: status, contentType: "application/json", headers: headers, body: object.finished())
  }

  /// The response to HEAD: the same head without a body (RFC 9110, section 9.3.2).
  var withoutBody: Response {
    var response = self
    response.body = .bytes(ByteBuffer())
    return response
  }
}

/// A body that is written piece by piece.
struct BodyStream: Sendable {
  /// Sends one piece. Returns when the kernel has taken it.
  ///
  /// - Throws: when the connection is closed.
  typealias Write = @Sendable (ByteBuffer) async throws -> Void

  /// Writes the body; its end is the end of the body. An error closes the connection.
  let run: @Sendable (_ write: Write) async throws -> Void
  /// Called when the client closes its side or the connection is lost. `run` should then end soon.
  let onInputClosed: @Sendable () -> Void
}

extension Response.Headers {
  /// The headers of a response to a request that created something.
  ///
  /// - Parameter isReplay: an earlier request under the same idempotency key created it.
  static func created(_ location: String, isReplay: Bool = false) -> Self {
    [("Location", location)] + replayed(isReplay)
  }

  /// The header of a response that repeats an earlier one.
  static func replayed(_ isReplay: Bool) -> Self { isReplay ? [("Idempotent-Replayed", "true")] : [] }
}
