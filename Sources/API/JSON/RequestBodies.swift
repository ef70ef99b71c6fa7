import HTTPTypes
import Hummingbird
import NIOCore

/// What a request says, as a JSON object with members of these names.
protocol RequestBody {
  associatedtype Member: RawRepresentable<String> & CaseIterable
  /// - Throws: `Problem.validation`.
  init(from members: inout MemberReader<Member>) throws
}

/// Reads the JSON bodies of requests.
enum RequestBodies {
  /// The raw bytes. `RequestGate` lets none pass that are too many.
  static func bytes(of request: Request) async throws -> ByteBuffer {
    try await request.body.collect(upTo: .max)
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.unsupportedMediaType`.
  static func decode<Body: RequestBody>(_ type: Body.Type = Body.self, from request: Request) async throws -> Body {
    try BodyLabel(of: request).check()
    return try decode(type, from: await bytes(of: request))
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.unsupportedMediaType`.
  static func decode<Body: RequestBody>(_ type: Body.Type = Body.self, from request: FastRoute.Request) throws -> Body {
    try request.bodyLabel.check()
    return try decode(type, from: request.body)
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`.
  static func decode<Body: RequestBody>(_ type: Body.Type = Body.self, from bytes: ByteBuffer) throws -> Body {
    do {
      var members = try MemberReader<Body.Member>(bytes)
      return try Body(from: &members)
    } catch let violation as JSONSyntax.Violation {
      throw Problem.malformedRequest("\(violation.reason), at byte \(violation.offset)")
    }
  }
}
