import NIOCore
import NIOHTTP1

/// A request as the client sends it.
struct HTTPCall: Sendable {
  var method: HTTPMethod
  var path: String
  /// Header fields besides those that every request has.
  var headers: [(name: String, value: String)] = []
  /// JSON. Nil for a request without a body.
  var body: ByteBuffer?
}
