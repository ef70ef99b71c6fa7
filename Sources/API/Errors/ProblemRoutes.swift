import HTTPTypes
import Hummingbird
import NIOCore

/// Explains each type of problem to a person who follows its address.
struct ProblemRoutes {
  func add(to router: Router<AppContext>) {
    router.get("problems/:slug") { _, context in
      guard let kind = Problem.Kind(rawValue: context.parameters.get("slug") ?? "") else {
        throw Problem.notFound("type of problem")
      }
      let text = "\(kind.title) (\(kind.status.code) \(kind.rawValue))\n\n\(kind.explanation)\n"
      return Response(
        status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
  }
}

extension Problem.Kind {
  /// What it means and what to do, for a person.
  fileprivate var explanation: String {
    switch self {
    case .databaseUnavailable: "Nothing was done. Repeat the request after the time in Retry-After."
    case .holdAlreadyOrdered: "A hold becomes at most one order. The member order_id names it."
    case .holdExpired: "A hold keeps its units until expires_at. Place a new hold if there is still stock."
    case .holdReleased: "The buyer gave the hold back. Place a new hold if there is still stock."
    case .idempotencyKeyReused: "A key stands for one request with one body. Use a new key for another one."
    case .insufficientStock: "Fewer units are available than were asked for. Held units may come back; ask for fewer."
    case .internalError: "A fault in this server. Its log has the details under the X-Request-Id of the response."
    case .invalidSignature: "Payment events are signed by the Standard Webhooks scheme, over the raw bytes of the body."
    case .malformedRequest: "The body must be one JSON object in UTF-8."
    case .notFound: "There is nothing under this address, or the id is none of ours."
    case .outcomeUnknown:
      "The database's answer was lost on the way. Read the hold or the order to see whether the request took effect."
    case .overloaded: "Nothing was done. Repeat the request after the time in Retry-After; other servers may have room."
    case .payloadTooLarge: "No call needs a body this large."
    case .shuttingDown: "Nothing was done. Repeat the request; another server will take it."
    case .unauthorized: "Admin calls need the server's admin token: Authorization: Bearer <token>."
    case .validation: "The member errors lists everything that is wrong, each with a JSON pointer."
    }
  }
}
