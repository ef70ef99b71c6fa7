import Checkout
import HTTPTypes
import Hummingbird

/// A refusal or a fault as clients see it: `application/problem+json` (RFC 9457).
struct Problem: Error {
  let kind: Kind
  let detail: String
  var invalidMembers: [InvalidMember]?
  var orderID: String?
  var retryAfterSeconds: Int?

  /// A member of the request that does not fit.
  struct InvalidMember {
    /// Where it is (RFC 6901).
    let pointer: String
    let detail: String
  }

  /// The types of problems; the raw value is the last part of the type's address, `/problems/<slug>`.
  enum Kind: String, CaseIterable {
    case databaseUnavailable = "database-unavailable"
    case holdAlreadyOrdered = "hold-already-ordered"
    case holdExpired = "hold-expired"
    case holdReleased = "hold-released"
    case idempotencyKeyReused = "idempotency-key-reused"
    case insufficientStock = "insufficient-stock"
    case internalError = "internal-error"
    case invalidSignature = "invalid-signature"
    case malformedRequest = "malformed-request"
    case notFound = "not-found"
    case outcomeUnknown = "outcome-unknown"
    case overloaded
    case payloadTooLarge = "payload-too-large"
    case shuttingDown = "shutting-down"
    case unauthorized
    case validation

    var status: HTTPResponse.Status {
      switch self {
      case .malformedRequest: .badRequest
      case .unauthorized, .invalidSignature: .unauthorized
      case .notFound: .notFound
      case .insufficientStock, .holdAlreadyOrdered, .holdExpired, .holdReleased: .conflict
      case .payloadTooLarge: .contentTooLarge
      case .validation, .idempotencyKeyReused: .unprocessableContent
      case .internalError: .internalServerError
      case .databaseUnavailable, .outcomeUnknown, .overloaded, .shuttingDown: .serviceUnavailable
      }
    }

    var title: String {
      switch self {
      case .databaseUnavailable: "The database cannot be reached"
      case .holdAlreadyOrdered: "The hold has become an order"
      case .holdExpired: "The hold has expired"
      case .holdReleased: "The hold was released"
      case .idempotencyKeyReused: "The idempotency key belongs to another request"
      case .insufficientStock: "Not enough stock"
      case .internalError: "Something went wrong here"
      case .invalidSignature: "The signature does not fit"
      case .malformedRequest: "The body is not a JSON object"
      case .notFound: "Not found"
      case .outcomeUnknown: "It is not known whether this took effect"
      case .overloaded: "The server has more to do than it may"
      case .payloadTooLarge: "The body is too large"
      case .shuttingDown: "The server is shutting down"
      case .unauthorized: "Not authorized"
      case .validation: "Some members are missing or wrong"
      }
    }
  }

  init(
    _ kind: Kind, _ detail: String, invalidMembers: [InvalidMember]? = nil, orderID: String? = nil,
    retryAfterSeconds: Int? = nil
  ) {
    self.kind = kind
    self.detail = detail
    self.invalidMembers = invalidMembers
    self.orderID = orderID
    self.retryAfterSeconds = retryAfterSeconds
  }
}

extension Problem {
  static let malformedRequest = Problem(.malformedRequest, "Send one JSON object, encoded as UTF-8, and nothing else.")
  static let insufficientStock = Problem(.insufficientStock, "Fewer units are available than were asked for.")
  static let holdReleased = Problem(.holdReleased, "Its units went back on sale when it was released.")
  static let holdExpired = Problem(.holdExpired, "Its time ran out and its units went back on sale.")
  static let keyReused = Problem(
    .idempotencyKeyReused, "Another request came under this key before. A key stands for one request.")
  static let invalidSignature = Problem(
    .invalidSignature, "No signature in webhook-signature fits the body, webhook-id and webhook-timestamp.")
  static let unauthorized = Problem(.unauthorized, "Send the admin token as Authorization: Bearer <token>.")

  static func notFound(_ what: String) -> Problem {
    Problem(.notFound, "There is no such \(what).")
  }

  static func holdAlreadyOrdered(_ id: ReservationID) -> Problem {
    Problem(.holdAlreadyOrdered, "A hold becomes one order; order_id says which.", orderID: id.orderText)
  }

  static func validation(_ members: [InvalidMember]) -> Problem {
    Problem(.validation, "The errors say which and why.", invalidMembers: members)
  }

  static func payloadTooLarge(maximumBytes: Int) -> Problem {
    Problem(.payloadTooLarge, "A body has at most \(maximumBytes) bytes.")
  }
}

extension Problem {
  var response: Response {
    var headers = HTTPFields()
    if let retryAfterSeconds { headers[.retryAfter] = String(retryAfterSeconds) }
    if kind == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
    return .json(status: kind.status, headers: headers, contentType: "application/problem+json") { json in
      json.add("type", "/problems/" + kind.rawValue)
      json.add("title", kind.title)
      json.add("status", kind.status.code)
      json.add("detail", detail)
      if let orderID { json.add("order_id", orderID) }
      if let invalidMembers {
        json.add("errors", invalidMembers) { member, json in
          json.add("pointer", member.pointer)
          json.add("detail", member.detail)
        }
      }
    }
  }
}
