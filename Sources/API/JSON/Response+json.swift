import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
  private static let encoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return encoder
  }()

  /// - Throws: never in practice: what is encoded here has no value that JSON lacks.
  static func json(
    _ body: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:],
    contentType: String = "application/json"
  ) throws -> Response {
    let bytes = ByteBuffer(bytes: try encoder.encode(body))
    var headers = headers
    headers[.contentType] = contentType
    headers[.contentLength] = String(bytes.readableBytes)
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: bytes))
  }
}
