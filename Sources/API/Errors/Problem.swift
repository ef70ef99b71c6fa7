import Checkout
import NIOHTTP1
import Time

/// A refusal or a fault as clients see it: `application/problem+json` (RFC 9457).
struct Problem: Error {
  let kind: Kind
  let detail: String
  /// At least 1: it would be too early at once.
  let retryAfterSeconds: Int?
  /// What the resource can be asked instead.
  let allowedMethods: [HTTPMethod]?
  /// Further header fields.
  let headers: Response.Headers
  /// A word for the access log that says more than the kind.
  let reason: String?
  /// Adds what this type of problem has beside the members that all have.
  private let addMembers: @Sendable (inout JSONObject) -> Void

  /// A member of the request that does not fit.
  struct InvalidMember: Sendable {
    /// Where it is (RFC 6901).
    let pointer: String
    let detail: String
  }

  /// The types of problems; the raw value is the last part of the type's address, `/problems/<slug>`.
  enum Kind: String, CaseIterable {
    case customerLimitReached = "customer-limit-reached"
    case databaseUnavailable = "database-unavailable"
    case expectationFailed = "expectation-failed"
    case headersTooLarge = "headers-too-large"
    case holdAlreadyOrdered = "hold-already-ordered"
    case holdExpired = "hold-expired"
    case holdReleased = "hold-released"
    case idempotencyKeyReused = "idempotency-key-reused"
    case insufficientStock = "insufficient-stock"
    case internalError = "internal-error"
    case invalidSignature = "invalid-signature"
    case malformedRequest = "malformed-request"
    case methodNotAllowed = "method-not-allowed"
    case misdirectedRequest = "misdirected-request"
    case notFound = "not-found"
    case outcomeUnknown = "outcome-unknown"
    case overloaded
    case payloadTooLarge = "payload-too-large"
    case refundNotDue = "refund-not-due"
    case requestTimeout = "request-timeout"
    case saleEnded = "sale-ended"
    case saleNotStarted = "sale-not-started"
    case shuttingDown = "shutting-down"
    case unauthorized
    case unsupportedMediaType = "unsupported-media-type"
    case validation

    var status: HTTPResponseStatus {
      switch self {
      case .malformedRequest: .badRequest
      case .unauthorized, .invalidSignature: .unauthorized
      case .notFound: .notFound
      case .insufficientStock, .holdAlreadyOrdered, .holdExpired, .holdReleased, .saleNotStarted, .saleEnded,
        .customerLimitReached, .refundNotDue:
        .conflict
      case .methodNotAllowed: .methodNotAllowed
      case .misdirectedRequest: .misdirectedRequest
      case .requestTimeout: .requestTimeout
      case .payloadTooLarge: .payloadTooLarge
      case .unsupportedMediaType: .unsupportedMediaType
      case .expectationFailed: .expectationFailed
      case .validation, .idempotencyKeyReused: .unprocessableEntity
      case .headersTooLarge: .requestHeaderFieldsTooLarge
      case .internalError: .internalServerError
      case .databaseUnavailable, .outcomeUnknown, .overloaded, .shuttingDown: .serviceUnavailable
      }
    }

    var title: String {
      switch self {
      case .customerLimitReached: "The customer has as many as one may have"
      case .databaseUnavailable: "The database is away, or too busy"
      case .expectationFailed: "The expectation cannot be met"
      case .headersTooLarge: "The headers are too large"
      case .holdAlreadyOrdered: "The hold has become an order"
      case .holdExpired: "The hold has expired"
      case .holdReleased: "The hold was released"
      case .idempotencyKeyReused: "The idempotency key belongs to another request"
      case .insufficientStock: "Not enough stock"
      case .internalError: "Something went wrong here"
      case .invalidSignature: "The signature does not fit"
      case .malformedRequest: "The request cannot be understood"
      case .methodNotAllowed: "The method does not fit the address"
      case .misdirectedRequest: "The request is for another host"
      case .notFound: "Not found"
      case .outcomeUnknown: "It is not known whether this took effect"
      case .overloaded: "The server has more to do than it may"
      case .payloadTooLarge: "The body is too large"
      case .refundNotDue: "There is no money to give back"
      case .saleEnded: "The sale is over"
      case .saleNotStarted: "The sale has not started"
      case .requestTimeout: "The request took too long to arrive"
      case .shuttingDown: "The server is shutting down"
      case .unauthorized: "Not authorized"
      case .unsupportedMediaType: "The body is of the wrong type"
      case .validation: "Some members are missing or wrong"
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
  static let holdReleased = Problem(.holdReleased, "Its units went back on sale when it was released.")
  static let holdExpired = Problem(.holdExpired, "Its time ran out and its units went back on sale.")
  static let keyReused = Problem(
    .idempotencyKeyReused, "Another request came under this key before. A key stands for one request.")
  static let overloaded = Problem(
    .overloaded, "Nothing was done. More requests are waiting for the database than it can answer in time.",
    retryAfterSeconds: 1)
  static let shuttingDown = Problem(
    .shuttingDown, "Nothing was done. Another server will take the request.", retryAfterSeconds: 1)

  static func malformedRequest(_ reason: String) -> Problem {
    Problem(.malformedRequest, "The body is to be one JSON object in UTF-8: \(reason).")
  }

  static func methodNotAllowed(_ method: HTTPMethod, allowed: [HTTPMethod]) -> Problem {
    Problem(
      .methodNotAllowed, "\(method.rawValue) is not for this address; Allow says what is.", allowedMethods: allowed)
  }

  static func notFound(_ what: String) -> Problem {
    Problem(.notFound, "There is no such \(what).")
  }

  static func holdAlreadyOrdered(_ id: ReservationID) -> Problem {
    Problem(.holdAlreadyOrdered, "A hold becomes one order; order_id says which.") { json in
      json.add("order_id", id.orderText)
    }
  }

  static func insufficientStock(_ left: StockLeft) -> Problem {
    Problem(
      .insufficientStock, "Fewer units are available than were asked for.",
      retryAfterSeconds: left.nextReleaseIn?.secondsRoundedUp
    ) { json in
      json.add("available_stock", left.available)
      json.add("held_stock", left.held)
      json.add("next_release_at", left.nextReleaseAt?.rfc3339)
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
    Problem(.saleEnded, "The sale is over since ends_at.") { json in json.add("ends_at", endsAt.rfc3339) }
  }

  static func customerLimitReached(_ limit: CustomerLimit) -> Problem {
    Problem(
      .customerLimitReached, "With this hold the customer would have more units in holds and orders than one may have.",
      retryAfterSeconds: limit.nextReleaseIn?.secondsRoundedUp
    ) { json in
      json.add("max_per_customer", limit.maximum)
      json.add("next_release_at", limit.nextReleaseAt?.rfc3339)
    }
  }

  static func validation(_ members: [InvalidMember]) -> Problem {
    Problem(.validation, "The errors say which and why.") { json in
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
    Problem(.payloadTooLarge, "A body has at most \(maximumBytes) bytes.")
  }
}

extension Duration {
  /// For `Retry-After`: a second earlier the units would still be held.
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
