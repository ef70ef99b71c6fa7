import Checkout
import FoundationEssentials
import Telemetry

/// `POST /api/payments/webhook`.
struct WebhookRoutes {
  let checkout: Checkout
  /// With nil, the server accepts unsigned events.
  let verifier: WebhookVerifier?
  /// Logs refused events.
  let log: SparseLog

  var routes: [Route] { [Route(.POST, "/api/payments/webhook", callback: receive)] }

  @Sendable private func receive(_ request: Request, respond: @escaping Route.Respond) throws {
    try request.bodyLabel.check()
    if let refusal = verifier?.refusal(of: request) { throw Problem.invalidSignature(refusal, log: log) }
    let body = try request.decode(EventBody.self)
    guard let orderID = ReservationID(orderText: body.orderID) else { throw Problem.notFound("order") }
    let event = PaymentEvent(
      idempotencyKey: body.idempotencyKey, orderID: orderID, status: body.status.ofEvent, amount: body.amount,
      currency: body.currency)
    checkout.applyPaymentEvent(event) { outcome in
      respond { try Self.response(to: outcome.get(), orderID) }
    }
  }

  /// - Throws: `Problem.keyReused`.
  static func response(to outcome: ApplyPaymentEvent.Outcome, _ orderID: ReservationID) throws -> Response {
    switch outcome {
    case .decided(let verdict, let orderStatus, let isReplay):
      .json(
        status: verdict == .parked ? .accepted : .ok, headers: .replayed(isReplay)
      ) { json in
        json.add("order_id", orderID.orderText)
        json.add("order_status", orderStatus?.rawValue)
        json.add("verdict", verdict.rawValue)
      }
    case .keyReused: throw Problem.keyReused
    }
  }
}

extension WebhookVerifier {
  fileprivate func refusal(of request: Request) -> Refusal? {
    /// The value of the header `webhook-<name>`, or of its older name `svix-<name>`.
    func value(_ name: String, separator: String = ", ") -> String? {
      request.headers.value(ofLowercased: "webhook-" + name, separator: separator)
        ?? request.headers.value(ofLowercased: "svix-" + name, separator: separator)
    }
    return refusal(
      // A sender may put each signature into a field of its own.
      id: value("id"), timestamp: value("timestamp"), signatures: value("signature", separator: " "),
      body: Array(request.body.readableBytesView), now: Int64(Date().timeIntervalSince1970))
  }
}

struct EventBody: RequestBody {
  let idempotencyKey: String
  let orderID: String
  let status: Status
  let amount: Int64?
  let currency: String?

  /// A provider's own webhook has further kinds of events.
  enum Status: String, CaseIterable {
    case success, failed

    var ofEvent: PaymentEvent.Status {
      switch self {
      case .success: .success
      case .failed: .failed
      }
    }
  }

  enum Member: String, CaseIterable {
    case idempotencyKey = "idempotency_key"
    case orderID = "order_id"
    case status, amount, currency
  }

  init(from members: inout MemberReader<Member>) throws {
    let key = members.string(.idempotencyKey, maximumLength: 255)
    let order = members.string(.orderID, maximumLength: 255)
    let status = members.word(.status, Status.self)
    amount = members.ifPresent(.amount) { $0.amount($1) }
    currency = members.ifPresent(.currency) { $0.currencyInAnyCase($1) }
    (idempotencyKey, orderID, self.status) = try members.require(key, order, status)
  }
}
