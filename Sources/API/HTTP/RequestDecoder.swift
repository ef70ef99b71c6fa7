import NIOCore
import NIOHTTP1

/// Decodes requests with NIO's decoder, and adds two features.
///
/// It counts the received bytes. NIO's decoder does not report chunk sizes and chunk extensions. Without the count, a
/// client could send gigabytes with a body of a few bytes.
///
/// It continues after a request for another protocol (`Upgrade: h2c`). NIO's decoder stops after such a request. This
/// server has no other protocol and ignores `Upgrade` (RFC 9110, section 7.8), so a new decoder reads the next request.
final class RequestDecoder: ByteToMessageDecoder {
  typealias InboundOut = HTTPServerRequestPart

  /// The largest size of a request's target and header fields, in bytes.
  static let maximumHeaderBytes = 16 * 1024
  static let maximumHeaderCount = 256

  /// The bytes that this connection has received.
  private(set) var receivedBytes = 0

  private var decoder: HTTPRequestDecoder
  /// The bytes that the decoder has seen and not consumed, because a field is incomplete.
  private var unconsumedBytes = 0
  private var hasStopped = false

  init() {
    decoder = Self.makeDecoder()
  }

  private static func makeDecoder() -> HTTPRequestDecoder {
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = Self.maximumHeaderBytes
    limits.maxHeaderListSize = Self.maximumHeaderBytes
    limits.maxHeaderFieldCount = Self.maximumHeaderCount
    return HTTPRequestDecoder(limitConfiguration: limits)
  }

  /// Continues after a request at whose end the decoder stops, see `FramingFields.Upgrade`.
  ///
  /// Call it at the end of such a request only. After any other request, the new decoder could begin inside the next
  /// one.
  func resume() { hasStopped = true }

  func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
    receivedBytes += buffer.readableBytes - unconsumedBytes
    defer { unconsumedBytes = buffer.readableBytes }
    let state = try decoder.decode(context: context, buffer: &buffer)
    guard hasStopped else { return state }
    hasStopped = false
    decoder.decoderRemoved(context: context)
    decoder = Self.makeDecoder()
    decoder.decoderAdded(context: context)
    return .continue
  }

  func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) throws -> DecodingState {
    while buffer.readableBytes > 0, case .continue = try decode(context: context, buffer: &buffer) {}
    return try decoder.decodeLast(context: context, buffer: &buffer, seenEOF: seenEOF)
  }

  func decoderAdded(context: ChannelHandlerContext) { decoder.decoderAdded(context: context) }

  func decoderRemoved(context: ChannelHandlerContext) { decoder.decoderRemoved(context: context) }
}

@available(*, unavailable)
extension RequestDecoder: Sendable {}
