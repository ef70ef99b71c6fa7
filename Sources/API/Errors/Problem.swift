import Checkout
import NIOHTTP1
import Time

/// A refusal or a fault, which the client gets as `application/problem+json` (RFC 9457).
struct Problem: Error {
  let kind: Kind
  let detail: String
  /// The value of `Retry-After`; at least 1. With nil, the response has no such header.
  let retryAfterSeconds: Int?
  /// The value of `Allow`. With nil, the response has no such header.
  let allowedMethods: [HTTPMethod]?
  /// Further header fields.
  let headers: Response.Headers
  /// A word that the access log adds to the kind.
  let reason: String?
  /// Adds the members that only this kind has.
  private let addMembers: @Sendable (inout JSONObject) -> Void

  /// A member, header or parameter that is missing or invalid.
  struct InvalidMember: Sendable {
    /// A JSON pointer (RFC 6901), or `/` and the name of a header or parameter.
    let pointer: String
    let detail: String
  }

  /// The types of problems. The raw value is the last segment of the type's address, `/problems/<slug>`.
  enum Kind: String, CaseIterable {
    case customerLimitReached = "customer-limit-reached"
    case customerTokenRequired = "customer-token-required"
    case databaseUnavailable = "database-unavailable"
    case eventFeedOff = "event-feed-off"
    case expectationFailed = "expectation-failed"
    case forbiddenOrigin = "forbidden-origin"
    case headersTooLarge = "headers-too-large"
    case holdAlreadyOrdered = "hold-already-ordered"
    case holdExpired = "hold-expired"
    case holdReleased = "hold-released"
    case idempotencyKeyReused = "idempotency-key-reused"
    case insufficientScope = "insufficient-scope"
    case insufficientStock = "insufficient-stock"
    case internalError = "internal-error"
    case invalidCustomerToken = "invalid-customer-token"
    case invalidSignature = "invalid-signature"
    case malformedRequest = "malformed-request"
    case methodNotAllowed = "method-not-allowed"
    case misdirectedRequest = "misdirected-request"
    case notAcceptable = "not-acceptable"
    case notFound = "not-found"
    case orderNotPaid = "order-not-paid"
    case outcomeUnknown = "outcome-unknown"
    case overloaded
    case payloadTooLarge = "payload-too-large"
    case refundNotDue = "refund-not-due"
    case refundTooLarge = "refund-too-large"
    case requestTimeout = "request-timeout"
    case saleEnded = "sale-ended"
    case saleNotStarted = "sale-not-started"
    case salePaused = "sale-paused"
    case shuttingDown = "shutting-down"
    case tooManyEndpoints = "too-many-endpoints"
    case tooManyRequests = "too-many-requests"
    case unauthorized
    case unsupportedMediaType = "unsupported-media-type"
    case validation

    var status: HTTPResponseStatus {
      switch self {
      case .malformedRequest: .badRequest
      case .unauthorized, .invalidSignature, .invalidCustomerToken, .customerTokenRequired: .unauthorized
      case .insufficientScope, .forbiddenOrigin: .forbidden
      case .notAcceptable: .notAcceptable
      case .notFound: .notFound
      case .insufficientStock, .holdAlreadyOrdered, .holdExpired, .holdReleased, .saleNotStarted, .salePaused,
        .saleEnded, .customerLimitReached, .refundNotDue, .orderNotPaid, .refundTooLarge:
        .conflict
      case .eventFeedOff, .tooManyEndpoints: .conflict
      case .methodNotAllowed: .methodNotAllowed
      case .misdirectedRequest: .misdirectedRequest
      case .requestTimeout: .requestTimeout
      case .payloadTooLarge: .payloadTooLarge
      case .unsupportedMediaType: .unsupportedMediaType
      case .expectationFailed: .expectationFailed
      case .validation, .idempotencyKeyReused: .unprocessableEntity
      case .tooManyRequests: .tooManyRequests
      case .headersTooLarge: .requestHeaderFieldsTooLarge
      case .internalError: .internalServerError
      case .databaseUnavailable, .outcomeUnknown, .overloaded, .shuttingDown: .serviceUnavailable
      }
    }

    var title: String {
      switch self {
      case .customerLimitReached: "The customer has reached the limit"
      case .customerTokenRequired: "A customer's token is required"
      case .databaseUnavailable: "The database is unavailable"
      case .eventFeedOff: "The event feed is off"
      case .expectationFailed: "The expectation cannot be met"
      case .forbiddenOrigin: "The page may not send this request"
      case .headersTooLarge: "The headers are too large"
      case .holdAlreadyOrdered: "The hold has become an order"
      case .holdExpired: "The hold has expired"
      case .holdReleased: "The hold was released"
      case .idempotencyKeyReused: "The idempotency key belongs to another request"
      case .insufficientScope: "The key may not do this"
      case .insufficientStock: "Not enough stock"
      case .internalError: "Internal error"
      case .invalidCustomerToken: "The customer's token is invalid"
      case .invalidSignature: "The signature is invalid"
      case .malformedRequest: "The request is malformed"
      case .methodNotAllowed: "The method is not allowed"
      case .misdirectedRequest: "The request is for another host"
      case .notAcceptable: "The response has no such format"
      case .notFound: "Not found"
      case .orderNotPaid: "The order is not paid"
      case .outcomeUnknown: "The outcome of the request is unknown"
      case .overloaded: "The server is overloaded"
      case .payloadTooLarge: "The body is too large"
      case .refundNotDue: "No refund is due"
      case .refundTooLarge: "The refund is too large"
      case .saleEnded: "The sale has ended"
      case .saleNotStarted: "The sale has not started"
      case .salePaused: "The sale is paused"
      case .requestTimeout: "The request took too long to arrive"
      case .shuttingDown: "The server is shutting down"
      case .tooManyEndpoints: "Too many webhook endpoints"
      case .tooManyRequests: "Too many requests"
      case .unauthorized: "Not authorized"
      case .unsupportedMediaType: "The type of the body is not supported"
      case .validation: "The request is invalid"
      }
    }
  }

  init(
    _ kind: Kind, _ detail: String, retryAfterSeconds: Int? = nil, allowedMethods: [HTTPMethod]? = nil,
    headers: Response.Headers = [], reason: String? = nil,
    addMembers: @escaping @Sendable (inout JSONObject) -> Void = { _ in }
  ) {
    self.kind = kind
    self.detail = detail
    self.retryAfterSeconds = retryAfterSeconds.map { max(1, $0) }
    self.allowedMethods = allowedMethods
    self.headers = headers
    self.reason = reason
    self.addMembers = addMembers
  }
}

extension Problem {
  static let holdReleased = Problem(.holdReleased, "The hold was released. Its units were returned to the stock.")
  static let holdExpired = Problem(.holdExpired, "The hold's expires_at has passed. Other buyers can hold its units.")
  static let keyReused = Problem(
    .idempotencyKeyReused, "An earlier request with other content has used this key. A key belongs to one request.")
  static let salePaused = Problem(
    .salePaused, "The shop has paused the sale. Existing holds can be ordered, and orders can be paid.")
  static let overloaded = Problem(
    .overloaded, "Nothing was done. Too many requests are waiting for the database.",
    retryAfterSeconds: 1)
  static let tooManyExports = Problem(
    .overloaded, "Nothing was done. This server runs as many exports as it may at the same time.",
    retryAfterSeconds: 10)
  static let shuttingDown = Problem(
    .shuttingDown, "Nothing was done. Repeat the request; another server will handle it.", retryAfterSeconds: 1)

  static func malformedRequest(_ reason: String) -> Problem {
    Problem(.malformedRequest, "The body must be one JSON object in UTF-8: \(reason).")
  }

  static func methodNotAllowed(_ method: HTTPMethod, allowed: [HTTPMethod]) -> Problem {
    Problem(
      .methodNotAllowed, "This address does not allow \(method.rawValue). The header Allow lists its methods.",
      allowedMethods: allowed)
  }

  static func notFound(_ what: String) -> Problem {
    Problem(.notFound, "There is no such \(what).")
  }

  /// - Parameter types: the media types that the response may have.
  static func notAcceptable(_ types: [String]) -> Problem {
    Problem(.notAcceptable, "The response may be one of: \(types.joined(separator: ", ")).")
  }

  static func holdAlreadyOrdered(_ id: ReservationID) -> Problem {
    Problem(.holdAlreadyOrdered, "A hold becomes at most one order. order_id is that order.") { json in
      json.add("order_id", id.orderText)
    }
  }

  static func orderNotPaid(_ status: Order.Status) -> Problem {
    Problem(.orderNotPaid, "Only a paid order can be refunded. order_status is the status of this order.") { json in
      json.add("order_status", status.rawValue)
    }
  }

  /// - Parameter left: in minor units of the order's currency.
  static func refundTooLarge(left: Int64) -> Problem {
    Problem(.refundTooLarge, "A refund of this order may have at most refundable_amount.") { json in
      json.add("refundable_amount", left)
    }
  }

  static func insufficientStock(_ left: StockLeft) -> Problem {
    Problem(
      .insufficientStock, "The request needs more units than are available.",
      retryAfterSeconds: left.nextReleaseIn?.secondsRoundedUp
    ) { json in
      json.add("available_stock", left.available)
      json.add("held_stock", left.held)
      json.add("next_release_at", left.nextReleaseAt?.rfc3339)
    }
  }

  static func insufficientScope(needed: AdminScope) -> Problem {
    Problem(
      .insufficientScope, "The request needs a key with the scope \(needed.rawValue).",
      // RFC 6750, section 3.1.
      headers: [("WWW-Authenticate", "Bearer error=\"insufficient_scope\", scope=\"\(needed.rawValue)\"")]
    ) { json in
      json.add("required_scope", needed.rawValue)
    }
  }

  static func saleNotStarted(startsAt: Timestamp, in wait: Duration) -> Problem {
    Problem(
      .saleNotStarted, "The sale starts at starts_at.", retryAfterSeconds: wait.secondsRoundedUp
    ) { json in
      json.add("starts_at", startsAt.rfc3339)
    }
  }

  static func saleEnded(endsAt: Timestamp) -> Problem {
    Problem(.saleEnded, "The sale ended at ends_at.") { json in json.add("ends_at", endsAt.rfc3339) }
  }

  static func customerLimitReached(_ limit: CustomerLimit) -> Problem {
    Problem(
      .customerLimitReached,
      "With this hold, the customer would have more than max_per_customer units in holds and orders.",
      retryAfterSeconds: limit.nextReleaseIn?.secondsRoundedUp
    ) { json in
      json.add("max_per_customer", limit.maximum)
      json.add("next_release_at", limit.nextReleaseAt?.rfc3339)
    }
  }

  static func customerTokenRequired(_ reason: String) -> Problem {
    Problem(
      .customerTokenRequired, "\(reason) Send the customer's token as Authorization: Bearer <token>.",
      headers: [("WWW-Authenticate", "Bearer")])
  }

  /// - Parameter wait: the time until the client may send another request.
  static func tooManyRequests(retryIn wait: Duration) -> Problem {
    Problem(
      .tooManyRequests, "Nothing was done. This client has sent too many requests that change something.",
      retryAfterSeconds: wait.secondsRoundedUp)
  }

  static func validation(_ members: [InvalidMember]) -> Problem {
    Problem(.validation, "The member errors lists what is missing or invalid.") { json in
      json.add("errors", members) { member, json in
        json.add("pointer", member.pointer)
        json.add("detail", member.detail)
      }
    }
  }

  static func validation(_ pointer: String, _ detail: String) -> Problem {
    validation([InvalidMember(pointer: pointer, detail: detail)])
  }

  static func payloadTooLarge(maximumBytes: Int) -> Problem {
    Problem(.payloadTooLarge, "A body may have at most \(maximumBytes) bytes.")
  }
}

extension Duration {
  /// The value of `Retry-After`. Rounded up, because a request that comes too early would be refused again.
  fileprivate var secondsRoundedUp: Int { Int((self / .seconds(1)).rounded(.up)) }
}

extension Problem {
  static let contentType = "application/problem+json"

  var response: Response {
    var json = JSONObject()
    json.add("type", "/problems/" + kind.rawValue)
    json.add("title", kind.title)
    json.add("status", Int(kind.status.code))
    json.add("detail", detail)
    addMembers(&json)
    var headers: Response.Headers = []
    if let retryAfterSeconds { headers.append(("Retry-After", String(retryAfterSeconds))) }
    if let allowedMethods { headers.append(("Allow", allowedMethods.map(\.rawValue).joined(separator: ", "))) }
    headers += self.headers
    var response = Response(
      status: kind.status, contentType: Self.contentType, headers: headers, body: json.finished())
    response.problem = (kind, reason)
    return response
  }
}
