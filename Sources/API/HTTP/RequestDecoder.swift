import NIOCore
import NIOHTTP1

/// Decodes requests with NIO's decoder, and adds two things that it lacks.
///
/// It counts the bytes that arrive. The parts of a request do not show chunk sizes, chunk extensions and trailers, so a body
/// of a few bytes could take gigabytes.
///
/// It goes on behind a request for another protocol (`Upgrade: h2c`). NIO's decoder stops there for good. This server speaks
/// no other protocol and ignores the question (RFC 9110, section 7.8); a new decoder takes the first byte behind the request.
final class RequestDecoder: ByteToMessageDecoder {
  typealias InboundOut = HTTPServerRequestPart

  /// The address and the header fields of a request, in bytes.
  static let maximumHeaderBytes = 16 * 1024
  static let maximumHeaderCount = 256

  /// Of the connection so far.
  private(set) var receivedBytes = 0

  private var decoder: HTTPRequestDecoder
  /// What the decoder has seen and not taken: the beginning of a field.
  private var keptBytes = 0
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

  /// To be called at the end of a request behind which the decoder stops, see `FramingFields.Upgrade`. For any other request
  /// a new decoder would begin in the middle of the next one.
  func resume() { hasStopped = true }

  func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
    receivedBytes += buffer.readableBytes - keptBytes
    defer { keptBytes = buffer.readableBytes }
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
