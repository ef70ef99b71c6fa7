import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import NIOFoundationCompat

/// Reads the JSON bodies of requests.
struct RequestBodies: Sendable {
  let maximumBytes: Int

  private static let decoder = JSONDecoder()

  /// The raw bytes.
  ///
  /// - Throws: `Problem.unsupportedMediaType`, `Problem.payloadTooLarge`.
  func bytes(of request: Request) async throws -> ByteBuffer {
    guard Self.isJSON(request.headers[.contentType]) else { throw Problem.unsupportedMediaType }
    do {
      return try await request.body.collect(upTo: maximumBytes)
    } catch is NIOTooManyBytesError {
      throw Problem.payloadTooLarge(maximumBytes: maximumBytes)
    }
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.unsupportedMediaType`, `Problem.payloadTooLarge`.
  func decode<Body: Decodable>(_ type: Body.Type = Body.self, from request: Request) async throws -> Body {
    try decode(type, from: await bytes(of: request))
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`.
  func decode<Body: Decodable>(_ type: Body.Type = Body.self, from bytes: ByteBuffer) throws -> Body {
    do {
      try bytes.withUnsafeReadableBytes { try JSONSyntax.check($0) }
      return try Self.decoder.decode(type, from: bytes)
    } catch let violation as JSONSyntax.Violation {
      throw Problem.malformedRequest("\(violation.reason), at byte \(violation.offset)")
    } catch is DecodingError {
      throw Problem.malformedRequest("it cannot be read")
    }
  }

  /// Whether a body that is called so is read as JSON.
  ///
  /// A body without a type is taken for JSON. So is what is called a form: `curl -d` calls everything that unless told
  /// otherwise, and nothing here takes forms. Browsers send forms across origins without asking; no call here acts on
  /// cookies, so nothing can be had that way.
  static func isJSON(_ contentType: String?) -> Bool {
    guard let contentType, contentType != "application/json" else { return true }
    let mediaType = contentType.prefix { $0 != ";" }.lowercased()
    let name = mediaType.reversed().drop { $0 == " " || $0 == "\t" }.reversed()
    return ["application/json", "application/x-www-form-urlencoded"].contains(String(name))
      || String(name).hasSuffix("+json") && name.contains("/")
  }
}
