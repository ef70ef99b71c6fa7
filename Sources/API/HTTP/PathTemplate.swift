import Hummingbird

/// How the address of a route is spelled, such as `/api/products/{id}`.
///
/// The router finds a route whatever its address's spelling: `/api//holds` and `/metrics/` are `/api/holds` and `/metrics` to
/// it. Proxies guard addresses by their spelling, so here each address has one.
enum PathTemplate {
  /// Whether a path is spelled like a template: the same segments, none of them empty. A parameter may be anything.
  static func matches(_ template: String, _ path: String) -> Bool {
    let slash = UInt8(ascii: "/")
    let expected = template.utf8.split(separator: slash, omittingEmptySubsequences: false)
    let given = path.utf8.split(separator: slash, omittingEmptySubsequences: false)
    return expected.count == given.count
      && zip(expected, given).allSatisfy { expected, given in
        expected.first == UInt8(ascii: "{") ? !given.isEmpty : expected.elementsEqual(given)
      }
  }
}

extension AppContext {
  /// What stands in the address for `{id}`. Percent-encoded characters that need no encoding are the same as plain ones
  /// (RFC 3986, section 6.2.2.2); no id of ours has any other character.
  var id: String? { parameters.get("id").map(Self.decodingUnreserved) }

  private static func decodingUnreserved(_ segment: String) -> String {
    let percent = UInt8(ascii: "%")
    guard segment.utf8.contains(percent) else { return segment }
    var bytes: [UInt8] = []
    var rest = segment.utf8[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2).compactMap(\.hexadecimalValue)
      if byte == percent, digits.count == 2, (digits[0] << 4 | digits[1]).isUnreserved {
        bytes.append(digits[0] << 4 | digits[1])
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Answers 404 to a path that only the router takes for a route's.
struct PathMiddleware: RouterMiddleware {
  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    if let route = context.route, !PathTemplate.matches(route, request.uri.path) { throw Problem.notFound("resource") }
    return try await next(request, context)
  }
}
