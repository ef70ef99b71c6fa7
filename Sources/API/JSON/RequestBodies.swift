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
    guard isJSON(request.headers[.contentType]) else { throw Problem.unsupportedMediaType }
    return try decode(type, from: await bytes(of: request))
  }

  /// - Throws: `Problem.malformedRequest`, `Problem.validation`, `Problem.unsupportedMediaType`.
  static func decode<Body: RequestBody>(_ type: Body.Type = Body.self, from request: FastRoute.Request) throws -> Body {
    try checkType(of: request)
    return try decode(type, from: request.body)
  }

  /// - Throws: `Problem.unsupportedMediaType`.
  static func checkType(of request: FastRoute.Request) throws {
    guard isJSON(request[.contentType]) else { throw Problem.unsupportedMediaType }
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
