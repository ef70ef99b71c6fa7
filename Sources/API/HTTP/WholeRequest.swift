import NIOCore
import NIOHTTP1

/// A request that has arrived to its end.
struct WholeRequest {
  var head: HTTPRequestHead
  /// Nil when it has none.
  var body: ByteBuffer?
  var trailers: HTTPHeaders?
  /// What its headers say of the body.
  var bodyLabel = BodyLabel.json
}
