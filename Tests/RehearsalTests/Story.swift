@testable import Rehearsal

/// Evidence of a small sale, made by hand. Times are in milliseconds. A test then plants a violation.
struct Story {
  var evidence: Evidence

  /// The time to live of holds, in seconds.
  static let holdSeconds = 120
  /// The time of the readings after the sale.
  static let end: Int64 = 30_000

  init(stock: Int = 10, buyers: Int = 10) {
    var scenario = Scenario()
    scenario.buyers = buyers
    scenario.stock = stock
    evidence = Evidence(plan: SalePlan(scenario), product: Evidence.Product(id: 7, stock: stock))
    evidence.isPaused = true
    evidence.end = .milliseconds(Self.end)
  }

  static func holdID(_ number: Int) -> String { "hold_\(number)" }
  static func orderID(_ number: Int) -> String { "order_\(number)" }

  /// Adds a request with one attempt. It is sent at `time`, and answered 10 ms later.
  @discardableResult
  private mutating func add(
    _ template: RequestTemplate, buyer: Int, hold: Int?, at time: Int64, _ response: SaleResponse?
  ) -> Int {
    let sent = Microseconds.milliseconds(time)
    var record = RequestRecord(
      buyer: buyer, template: template, holdID: hold.map(Self.holdID), intended: sent, started: sent)
    if template.kind == .payment {
      record.orderID = hold.map(Self.orderID)
      record.amount = Scenario.price
    }
    record.attempts = [
      .init(
        sent: sent, ended: sent + .milliseconds(10), status: response?.status, problem: response?.problem,
        lost: response == nil ? "closed" : nil)
    ]
    record.response = response
    evidence.requests.append(record)
    return evidence.requests.count - 1
  }

  /// A granted hold. The buyer's number is also the number of the hold.
  @discardableResult
  mutating func hold(_ number: Int, quantity: Int = 1, at time: Int64 = 0, key: String? = nil, isReplay: Bool = false)
    -> Int
  {
    var response = SaleResponse(status: 201)
    response.holdID = Self.holdID(number)
    response.quantity = quantity
    response.state = "active"
    response.expiresInSeconds = Self.holdSeconds
    response.isReplay = isReplay
    return add(
      RequestTemplate(kind: .hold, key: key ?? "h\(number)", quantity: quantity), buyer: number, hold: nil, at: time,
      response)
  }

  @discardableResult
  mutating func refused(_ buyer: Int, _ problem: String = "insufficient-stock", status: Int = 409, at time: Int64 = 0)
    -> Int
  {
    var response = SaleResponse(status: status)
    response.problem = problem
    response.availableStock = 0
    return add(
      RequestTemplate(kind: .hold, key: "h\(buyer)", quantity: 1), buyer: buyer, hold: nil, at: time, response)
  }

  @discardableResult
  mutating func unknownHold(_ buyer: Int, quantity: Int = 1, at time: Int64 = 0) -> Int {
    add(RequestTemplate(kind: .hold, key: "h\(buyer)", quantity: quantity), buyer: buyer, hold: nil, at: time, nil)
  }

  /// A placed order. Its window is 15 minutes.
  @discardableResult
  mutating func order(_ number: Int, quantity: Int = 1, at time: Int64 = 1000, state: String = "pending_payment") -> Int
  {
    var response = SaleResponse(status: 201)
    response.holdID = Self.holdID(number)
    response.orderID = Self.orderID(number)
    response.quantity = quantity
    response.state = state
    response.amount = quantity * Scenario.price
    response.createdAt = "2026-11-27T09:00:00.000Z"
    response.paymentDueAt = "2026-11-27T09:15:00.000Z"
    return add(RequestTemplate(kind: .order, key: "o\(number)"), buyer: number, hold: number, at: time, response)
  }

  /// The response to a payment event.
  @discardableResult
  mutating func payment(
    _ number: Int, _ verdict: String, _ orderStatus: String?, status: RequestTemplate.PaymentStatus = .success,
    key: String? = nil, at time: Int64 = 2000, isReplay: Bool = false
  ) -> Int {
    var response = SaleResponse(status: verdict == "parked" ? 202 : 200)
    response.orderID = Self.orderID(number)
    response.verdict = verdict
    response.orderStatus = orderStatus
    response.isReplay = isReplay
    return add(
      RequestTemplate(kind: .payment, key: key ?? "p\(number)", payment: status), buyer: number, hold: number, at: time,
      response)
  }

  @discardableResult
  mutating func release(_ number: Int, at time: Int64 = 1000) -> Int {
    var response = SaleResponse(status: 200)
    response.holdID = Self.holdID(number)
    response.state = "released"
    return add(.release, buyer: number, hold: number, at: time, response)
  }

  /// Adds the state that follows from the requests, as a correct server shows it.
  mutating func readState() {
    var readings = FinalReadings()
    let ledger = Ledger(evidence)
    let time = Microseconds.milliseconds(Self.end)
    for reservation in ledger.reservations {
      func item(_ id: String, _ state: String) -> FinalReadings.Item {
        .init(id: id, sent: time, ended: time, status: 200, state: state, quantity: reservation.quantity)
      }
      let ordered = reservation.orderAcknowledged != nil
      readings.holds.append(
        item(reservation.holdID, ordered ? "ordered" : reservation.isReleased ? "released" : "active"))
      guard ordered, let id = reservation.orderID else { continue }
      readings.orders.append(
        item(id, reservation.isPaid ? "paid" : reservation.isCancelled ? "cancelled" : "pending_payment"))
    }
    for payment in evidence.requests where payment.kind == .payment {
      let key = evidence.product.key(payment.key ?? "")
      guard !readings.events.contains(where: { $0.key == key }) else { continue }
      let last = evidence.requests.last { $0.key == payment.key }
      readings.events.append(
        .init(
          key: key, orderID: payment.orderID ?? "", status: payment.template.payment?.rawValue ?? "",
          verdict: last?.response?.verdict ?? ""))
    }
    let stock = FinalReadings.Stock(
      sent: time, ended: time, total: evidence.product.stock,
      available: evidence.product.stock - readings.committedUnits)
    (readings.stockBefore, readings.stockAfter) = (stock, stock)
    readings.invariants = [.init(name: "stock_is_conserved", description: "the sum", ok: true, violations: 0)]
    evidence.readings = readings
  }

  /// The names of all violations, by check.
  var violations: [String: [String]] {
    Dictionary(uniqueKeysWithValues: Checks.all(evidence).map { ($0.name, $0.violations.map(\.name)) })
      .filter { !$0.value.isEmpty }
  }

  /// A sale in which all went well: paid, unpaid, failed, early, released and refused.
  static var clean: Story {
    var story = Story()
    story.hold(0, quantity: 2)
    story.hold(0, quantity: 2, at: 20, isReplay: true)
    story.order(0, quantity: 2)
    story.payment(0, "applied", "paid")
    story.payment(0, "applied", "paid", isReplay: true)
    story.hold(1)
    story.order(1)
    story.hold(2)
    story.order(2)
    story.payment(2, "applied", "cancelled", status: .failed)
    story.hold(3)
    story.payment(3, "parked", nil, at: 500)
    story.order(3, state: "paid")
    story.payment(3, "applied", "paid", isReplay: true)
    story.hold(4)
    story.release(4)
    story.hold(5)
    story.refused(6)
    story.readState()
    return story
  }
}
