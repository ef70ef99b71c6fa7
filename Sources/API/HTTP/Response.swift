import NIOCore
import NIOHTTP1

/// The response to a request, before it is encoded.
struct Response: Sendable {
  typealias Headers = [(name: String, value: String)]

  enum Body: Sendable {
    case bytes(ByteBuffer)
    case stream(BodyStream)
  }

  let status: HTTPResponseStatus
  /// The header fields of this response. `ResponseHead` adds the fields of every response.
  var headers: Headers
  var body: Body
  /// Whether caches may store the response. They must then revalidate it before each use.
  var mayBeStored = false
  /// The problem that this response reports, for the access log.
  var problem: (kind: Problem.Kind, reason: String?)?

  /// - Parameter contentType: the media type of the body.
  init(status: HTTPResponseStatus = .ok, contentType: String, headers: Headers = [], body: ByteBuffer) {
    self.status = status
    self.headers = [("Content-Type", contentType), ("Content-Length", String(body.readableBytes))] + headers
    self.body = .bytes(body)
  }

  /// A response whose length is not known when it begins.
  init(contentType: String, headers: Headers = [], stream: BodyStream) {
    status = .ok
    self.headers = [("Content-Type", contentType)] + headers
    body = .stream(stream)
  }

  /// The response to a conditional request of a client that has the current representation. It has no body.
  ///
  /// - Parameter headers: the fields of the response with the representation that describe it to a cache.
  init(notModified headers: Headers) {
    status = .notModified
    self.headers = headers
    body = .bytes(ByteBuffer())
  }

  /// A response without a body (RFC 9110, section 15.3.5).
  init(noContent headers: Headers) {
    status = .noContent
    self.headers = headers
    body = .bytes(ByteBuffer())
  }

  /// A response whose body is a JSON object.
  ///
  /// - Parameter write: adds the members of the object.
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

/// A body that is written in pieces.
struct BodyStream: Sendable {
  /// Sends one piece. Returns when the kernel has taken it.
  ///
  /// - Throws: when the connection is closed.
  typealias Write = @Sendable (ByteBuffer) async throws -> Void

  /// Writes the body. The body ends when it returns. If it throws, the connection is closed.
  let run: @Sendable (_ write: Write) async throws -> Void
  /// Called when the client closes its side or the connection is lost. It makes `run` return soon.
  let onInputClosed: @Sendable () -> Void
}

extension Response.Headers {
  /// The headers of a response to a request that creates a resource.
  ///
  /// - Parameters:
  ///   - location: the path of the resource.
  ///   - isReplay: whether an earlier request with the same idempotency key created the resource.
  static func created(_ location: String, isReplay: Bool = false) -> Self {
    [("Location", location)] + replayed(isReplay)
  }

  /// `Idempotent-Replayed` if an earlier request had the effect, else no header.
  static func replayed(_ isReplay: Bool) -> Self { isReplay ? [("Idempotent-Replayed", "true")] : [] }
}
