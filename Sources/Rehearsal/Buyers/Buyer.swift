/// A buyer during the run: an event comes in, the next requests go out. It knows no socket and no clock.
package struct Buyer: Sendable {
  package enum Event: Sendable {
    /// The time of the plan has come.
    case arrived
    /// A request has its final response. Nil if the response did not become known.
    case answered(RequestTemplate, SaleResponse?)
  }

  /// A request to send.
  package struct Action: Equatable, Sendable {
    package var request: RequestTemplate
    /// The wait before it, from the event on.
    package var delay: Microseconds
    /// The hold that it concerns. Nil for a request for a hold.
    package var holdID: String?
  }

  private enum Phase: Sendable {
    case away, asking, holding, ordered
    /// The second payment is on its way.
    case payingAgain
    case ended
  }

  /// The time between two clicks.
  static let doubleClickDelay = Microseconds.milliseconds(20)
  /// The time after which a buyer loads the page again, which sends the request again. The first response has usually
  /// arrived by then, so the server must know the key from the database.
  static let reloadDelay = Microseconds.milliseconds(1000)

  /// A late payment comes this long after the order's time has run out. A worker expires the order within a second.
  static let latePaymentDelay = Microseconds.milliseconds(1500)

  package let plan: BuyerPlan
  private var phase = Phase.away
  private var retriesLeft: Int
  /// Requests for a hold without a response.
  private var holdsAsked = 0
  package private(set) var holdID: String?

  package init(_ plan: BuyerPlan) {
    self.plan = plan
    retriesLeft = plan.retries
  }

  package mutating func receive(_ event: Event) -> [Action] {
    switch event {
    case .arrived:
      guard phase == .away else { return [] }
      phase = .asking
      holdsAsked = plan.clicks
      return clicks(.hold, after: 0)
    case .answered(let request, let response):
      return switch request.kind {
      case .hold: holdAnswered(request, response)
      case .order: orderAnswered(response)
      case .payment: paymentAnswered(response)
      case .release: []
      }
    }
  }

  private mutating func holdAnswered(_ request: RequestTemplate, _ response: SaleResponse?) -> [Action] {
    holdsAsked -= 1
    guard phase == .asking else { return [] }
    if let response, response.status == 201, let id = response.holdID {
      // A response that was lost for long may show a hold that has expired since.
      guard response.state == "active" else { return end() }
      phase = .holding
      holdID = id
      return actWithHold()
    }
    // The other click may still get a hold.
    guard holdsAsked == 0 else { return [] }
    guard retriesLeft > 0, response?.problem == "insufficient-stock" else { return end() }
    retriesLeft -= 1
    holdsAsked = 1
    // Only successes are remembered under a key, so the request is sent again as it was.
    var again = request
    again.copy = plan.clicks + plan.retries - retriesLeft - 1
    return [Action(request: again, delay: plan.retryDelay)]
  }

  private mutating func actWithHold() -> [Action] {
    let think = plan.thinkBeforeOrder
    switch plan.behaviour {
    case .abandons: return end()
    case .releases:
      phase = .ended
      return [action(.release, after: think)]
    case .paysEarly:
      return payments(.success, after: think) + clicks(.order, after: think + plan.thinkBeforePayment)
    case .pays, .fails, .failsThenPays, .paysLate: return clicks(.order, after: think)
    }
  }

  private mutating func orderAnswered(_ response: SaleResponse?) -> [Action] {
    guard phase == .holding, let response, response.status == 201 else { return [] }
    phase = .ordered
    switch plan.behaviour {
    case .pays: return payments(.success, after: plan.thinkBeforePayment)
    case .fails, .failsThenPays: return payments(.failed, after: plan.thinkBeforePayment)
    case .paysLate:
      guard let window = response.paymentWindow else { return end() }
      return payments(.success, after: window + Self.latePaymentDelay)
    case .abandons, .releases, .paysEarly: return end()
    }
  }

  private mutating func paymentAnswered(_ response: SaleResponse?) -> [Action] {
    guard plan.behaviour == .failsThenPays, phase == .ordered, response != nil else { return [] }
    phase = .payingAgain
    return payments(.success, number: 1, after: plan.thinkBeforePayment)
  }

  private mutating func end() -> [Action] {
    phase = .ended
    return []
  }

  private func clicks(_ kind: RequestTemplate.Kind, after delay: Microseconds) -> [Action] {
    let pause = plan.number.isMultiple(of: 2) ? Self.doubleClickDelay : Self.reloadDelay
    return plan.copies(kind).map { action($0, after: delay + Microseconds($0.copy) * pause) }
  }

  /// All deliveries of an event come at the same moment.
  private func payments(
    _ status: RequestTemplate.PaymentStatus, number: Int = 0, after delay: Microseconds
  ) -> [Action] {
    plan.payments(status, number: number).map { action($0, after: delay) }
  }

  private func action(_ request: RequestTemplate, after delay: Microseconds) -> Action {
    Action(request: request, delay: delay, holdID: request.kind == .hold ? nil : holdID)
  }
}
