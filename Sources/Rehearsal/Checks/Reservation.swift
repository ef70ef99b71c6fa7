/// A granted hold, with all requests that concern it.
///
/// The server's times are not visible from outside. A request takes effect between its first attempt and its response.
/// So each time here is a bound.
struct Reservation {
  let holdID: String
  let quantity: Int
  /// The requests that were granted this hold. Several with one key, or after a lost response.
  var holdRequests: [RequestRecord]
  var orders: [RequestRecord] = []
  var releases: [RequestRecord] = []
  var payments: [RequestRecord] = []

  init(holdID: String, first: RequestRecord) {
    self.holdID = holdID
    quantity = first.response?.quantity ?? 0
    holdRequests = [first]
  }

  var orderID: String? { ReservationNumber.orderID(ofHold: holdID) }

  // MARK: The hold

  /// The hold exists at this time at the latest. Nil if all responses came after its end.
  var heldFrom: Microseconds? {
    holdRequests.filter { ["active", "ordered"].contains($0.response?.state) }.compactMap(\.answered).min()
  }

  /// The hold does not lapse before this time. `expires_in_seconds` is rounded down, and counts from the response.
  var earliestLapse: Microseconds {
    holdRequests.compactMap { request in
      request.response?.expiresInSeconds.map { request.lastSent + Microseconds($0) * .perSecond }
    }.max() ?? 0
  }

  /// The hold lapses before this time, unless it is ordered.
  var latestLapse: Microseconds {
    holdRequests.compactMap { request -> Microseconds? in
      guard let answered = request.answered, let seconds = request.response?.expiresInSeconds else { return nil }
      return answered + Microseconds(seconds + 1) * .perSecond
    }.min() ?? .max
  }

  var releaseSent: Microseconds? { Self.firstSent(releases) }
  var isReleased: Bool { releases.contains { $0.isSuccess } }

  // MARK: The order

  var orderSent: Microseconds? { Self.firstSent(orders) }
  private var placements: [RequestRecord] { orders.filter { $0.response?.status == 201 } }
  /// The order exists at this time at the latest. Nil if no response confirms it.
  var orderAcknowledged: Microseconds? { placements.compactMap(\.answered).min() }
  var paymentWindow: Microseconds? { placements.lazy.compactMap { $0.response?.paymentWindow }.first }

  /// The order does not expire before this time. Nil if its window is not known.
  var earliestExpiry: Microseconds? {
    guard let sent = orderSent, let window = paymentWindow else { return nil }
    return sent + window
  }

  // MARK: Payments

  func events(_ status: RequestTemplate.PaymentStatus, with verdicts: Set<String>) -> [RequestRecord] {
    payments.filter { $0.template.payment == status && verdicts.contains($0.response?.verdict ?? "") }
  }

  /// Whether a response shows that the order was paid. No payment event undoes that.
  var isPaid: Bool {
    !events(.success, with: ["applied", "reacquired"]).isEmpty
      || placements.contains { $0.response?.state == "paid" }
      || payments.contains { $0.response?.orderStatus == "paid" }
  }

  var reacquired: Microseconds? { events(.success, with: ["reacquired"]).compactMap(\.answered).min() }
  var isCancelled: Bool { !events(.failed, with: ["applied"]).isEmpty && !isPaid }
  var failureSent: Microseconds? { Self.firstSent(payments.filter { $0.template.payment == .failed }) }
  var hasUnknownPayment: Bool { payments.contains { $0.isUnknown } }

  /// The times during which the units were certainly taken from the stock, half-open.
  var certainTimes: [Range<Microseconds>] {
    guard let start = heldFrom else { return [] }
    var end = min(earliestLapse, releaseSent ?? .max)
    if orderAcknowledged != nil {
      // The order was placed from the hold while that was active. So there is no gap between the two.
      end = min(earliestExpiry ?? 0, failureSent ?? .max)
      if isPaid, reacquired == nil { end = .max }
    } else if let orderSent {
      // The order may have been placed, and may have expired before the hold would have.
      end = min(end, orderSent)
    }
    var times: [Range<Microseconds>] = []
    if start < end { times.append(start..<end) }
    if let reacquired { times.append(max(reacquired, max(start, end))..<Microseconds.max) }
    return times
  }

  /// A worker expires an unpaid order within a second. A server that was killed needs a few more.
  private static let expirySlack = Microseconds.seconds(5)

  /// Whether the units may be taken from the stock at a time after the sale.
  func mayBeTaken(at time: Microseconds) -> Bool {
    if isPaid { return true }
    if let acknowledged = orderAcknowledged {
      if hasUnknownPayment { return true }
      if isCancelled { return false }
      if payments.contains(where: { ["cancelled", "expired"].contains($0.response?.orderStatus) }) { return false }
      guard let window = paymentWindow else { return true }
      return time < acknowledged + window + Self.expirySlack
    }
    if orders.contains(where: { $0.isUnknown }) { return true }
    return !isReleased && time <= latestLapse
  }

  private static func firstSent(_ requests: [RequestRecord]) -> Microseconds? {
    requests.lazy.filter { !$0.attempts.isEmpty }.map(\.firstSent).min()
  }
}
