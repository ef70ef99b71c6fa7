import HTTPTypes
import Hummingbird

extension Response {
  /// - Parameter write: adds the members of the body.
  static func json(
    status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], _ write: (inout JSONObject) -> Void
  ) -> Response {
    var object = JSONObject()
    write(&object)
    let body = object.finished()
    var headers = headers
    headers[.contentType] = "application/json"
    headers[.contentLength] = String(body.readableBytes)
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
  }
}
