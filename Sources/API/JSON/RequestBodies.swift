import FoundationEssentials
import Hummingbird
import NIOCore
import NIOFoundationCompat

/// Reads the JSON bodies of requests.
struct RequestBodies: Sendable {
  let maximumBytes: Int

  private static let decoder = JSONDecoder()

  /// The raw bytes.
  ///
  /// - Throws: `Problem.payloadTooLarge`.
  func bytes(of request: Request) async throws -> ByteBuffer {
    do {
      return try await request.body.collect(upTo: maximumBytes)
    } catch is NIOTooManyBytesError {
      throw Problem.payloadTooLarge(maximumBytes: maximumBytes)
    }
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.payloadTooLarge`.
  func decode<Body: Decodable>(_ type: Body.Type = Body.self, from request: Request) async throws -> Body {
    try decode(type, from: await bytes(of: request))
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`.
  func decode<Body: Decodable>(_ type: Body.Type = Body.self, from bytes: ByteBuffer) throws -> Body {
    do {
      return try Self.decoder.decode(type, from: bytes)
    } catch is DecodingError {
      throw Problem.malformedRequest
    }
  }
}
