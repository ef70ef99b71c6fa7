import HTTPTypes
import Hummingbird

/// Gives every response an `X-Request-Id`, the client's own if it sent one that is fit to be logged and returned.
struct RequestIDMiddleware: RouterMiddleware {
  /// Long enough for a UUID or a trace id with a prefix.
  private static let maximumLength = 128

  func handle(
    _ request: Request, context: AppContext, next: (Request, AppContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    let id: String
    if let given = request.headers[.xRequestID], Self.isSane(given) {
      id = given
      context.logger[metadataKey: "hb.request.id"] = .string(given)
    } else {
      id = context.id
    }
    var response = try await next(request, context)
    response.headers[.xRequestID] = id
    return response
  }

  private static func isSane(_ id: String) -> Bool {
    1...maximumLength ~= id.utf8.count && id.utf8.allSatisfy { 0x21...0x7E ~= $0 }
  }
}

extension HTTPField.Name {
  static let xRequestID = Self("X-Request-Id")!
}
