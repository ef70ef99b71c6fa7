import HTTPTypes
import Hummingbird
import NIOCore

/// The answer to a request, whole.
struct Answer: Sendable {
  typealias Headers = [(name: HTTPField.Name, value: String)]

  let status: HTTPResponse.Status
  /// Those that say what the body is, and what the route adds.
  var headers: Headers
  /// Empty in answer to a HEAD, whose headers say how long it would be.
  var body: ByteBuffer

  /// - Parameter contentType: what the body is.
  init(status: HTTPResponse.Status, contentType: String, headers: Headers = [], body: ByteBuffer) {
    self.status = status
    self.headers =
      [(.contentType, contentType), (.contentLength, String(body.readableBytes))] + headers
    self.body = body
  }

  /// - Parameter write: adds the members of the body.
  static func json(
    status: HTTPResponse.Status = .ok, headers: Headers = [], _ write: (inout JSONObject) -> Void
  ) -> Answer {
    var object = JSONObject()
    write(&object)
    return Answer(status: status, contentType: "application/json", headers: headers, body: object.finished())
  }

  /// As the router's handlers return it.
  var response: Response {
    var fields = HTTPFields()
    for header in headers { fields[header.name] = header.value }
    return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: body))
  }
}

extension Response {
  /// - Parameter write: adds the members of the body.
  static func json(
    status: HTTPResponse.Status = .ok, headers: Answer.Headers = [], _ write: (inout JSONObject) -> Void
  ) -> Response {
    Answer.json(status: status, headers: headers, write).response
  }
}

extension Answer.Headers {
  /// The headers of an answer to a request that made something.
  ///
  /// - Parameter isReplay: an earlier request under the same idempotency key made it.
  static func made(_ location: String, isReplay: Bool = false) -> Self {
    isReplay ? [(.location, location), (.idempotentReplayed, "true")] : [(.location, location)]
  }
}

extension HTTPField.Name {
  static let idempotentReplayed = Self("Idempotent-Replayed")!
}
