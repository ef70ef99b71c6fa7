import Testing

@testable import Rehearsal

@Suite struct BuyerTests {
  private static func plan(_ behaviour: BuyerPlan.Behaviour, clicks: Int = 1, retries: Int = 0) -> BuyerPlan {
    BuyerPlan(
      number: 0, arrival: 0, quantity: 2, behaviour: behaviour, isBot: retries > 0, retries: retries, retryDelay: 70,
      clicks: clicks, deliveries: 3, thinkBeforeOrder: 1000, thinkBeforePayment: 500, holdKey: "h", orderKey: "o",
      paymentKeys: ["p", "q"])
  }

  private static var held: SaleResponse {
    var response = SaleResponse(status: 201)
    response.holdID = "hold_1"
    response.state = "active"
    return response
  }

  private static var ordered: SaleResponse {
    var response = SaleResponse(status: 201)
    response.createdAt = "2026-11-27T09:00:00.000Z"
    response.paymentDueAt = "2026-11-27T09:00:02.000Z"
    return response
  }

  private static var soldOut: SaleResponse {
    var response = SaleResponse(status: 409)
    response.problem = "insufficient-stock"
    return response
  }

  private static func hold(copy: Int = 0) -> RequestTemplate {
    RequestTemplate(kind: .hold, key: "h", copy: copy, quantity: 2)
  }

  /// A buyer that has arrived, and whose hold was granted; and what it does next.
  private static func holding(_ behaviour: BuyerPlan.Behaviour) -> (buyer: Buyer, next: [Buyer.Action]) {
    var buyer = Buyer(plan(behaviour))
    _ = buyer.receive(.arrived)
    let next = buyer.receive(.answered(hold(), held))
    return (buyer, next)
  }

  private static func summary(_ actions: [Buyer.Action]) -> [String] {
    actions.map { "\($0.request.kind) \($0.request.key ?? "-") \($0.request.payment?.rawValue ?? "-") \($0.delay)" }
  }

  @Test func `a buyer asks for a hold on arrival, twice if it clicks twice`() {
    var once = Buyer(Self.plan(.pays))
    #expect(Self.summary(once.receive(.arrived)) == ["hold h - 0"])
    #expect(once.receive(.arrived).isEmpty)
    var twice = Buyer(Self.plan(.pays, clicks: 2))
    let actions = twice.receive(.arrived)
    #expect(actions.map(\.request) == [Self.hold(), Self.hold(copy: 1)] && actions.map(\.delay) == [0, 20_000])
  }

  @Test func `each behaviour continues with its own requests`() {
    #expect(Self.summary(Self.holding(.abandons).next) == [])
    #expect(Self.summary(Self.holding(.releases).next) == ["release - - 1000"])
    #expect(Self.summary(Self.holding(.pays).next) == ["order o - 1000"])
    #expect(Self.holding(.pays).next.first?.holdID == "hold_1")
    let early = Array(repeating: "payment p success 1000", count: 3) + ["order o - 1500"]
    #expect(Self.summary(Self.holding(.paysEarly).next) == early)
  }

  @Test func `payments come after the order, failed or late as planned`() {
    let order = RequestTemplate(kind: .order, key: "o")
    var pays = Self.holding(.pays).buyer
    #expect(
      Self.summary(pays.receive(.answered(order, Self.ordered))) == Array(repeating: "payment p success 500", count: 3))
    #expect(pays.receive(.answered(order, Self.ordered)).isEmpty, "the other click")
    var late = Self.holding(.paysLate).buyer
    #expect(late.receive(.answered(order, Self.ordered)).first?.delay == 3_500_000)
    var fails = Self.holding(.failsThenPays).buyer
    #expect(
      Self.summary(fails.receive(.answered(order, Self.ordered))) == Array(repeating: "payment p failed 500", count: 3))
    let payment = RequestTemplate(kind: .payment, key: "p", payment: .failed)
    #expect(
      Self.summary(fails.receive(.answered(payment, SaleResponse(status: 200))))
        == Array(repeating: "payment q success 500", count: 3))
    #expect(fails.receive(.answered(payment, SaleResponse(status: 200))).isEmpty, "the other deliveries")
  }

  @Test func `a refused buyer leaves, and a bot asks again under its key`() {
    var buyer = Buyer(Self.plan(.pays))
    _ = buyer.receive(.arrived)
    #expect(buyer.receive(.answered(Self.hold(), Self.soldOut)).isEmpty)
    var bot = Buyer(Self.plan(.pays, retries: 2))
    _ = bot.receive(.arrived)
    for copy in 1...2 {
      let again = bot.receive(.answered(Self.hold(copy: copy - 1), Self.soldOut))
      #expect(again == [Buyer.Action(request: Self.hold(copy: copy), delay: 70, holdID: nil)])
    }
    #expect(bot.receive(.answered(Self.hold(copy: 2), Self.soldOut)).isEmpty)
  }

  @Test func `a buyer whose first click is refused continues with the second`() {
    var buyer = Buyer(Self.plan(.pays, clicks: 2))
    _ = buyer.receive(.arrived)
    #expect(buyer.receive(.answered(Self.hold(), Self.soldOut)).isEmpty)
    #expect(Self.summary(buyer.receive(.answered(Self.hold(copy: 1), Self.held))).count == 2)
  }

  @Test func `a buyer whose hold has expired in the meantime, or is unknown, leaves`() {
    var buyer = Buyer(Self.plan(.pays))
    _ = buyer.receive(.arrived)
    var expired = Self.held
    expired.state = "expired"
    #expect(buyer.receive(.answered(Self.hold(), expired)).isEmpty)
    var other = Buyer(Self.plan(.pays))
    _ = other.receive(.arrived)
    #expect(other.receive(.answered(Self.hold(), nil)).isEmpty)
  }

  @Test func `only a response without a decision is asked for again`() {
    func delay(_ attempt: Int, _ status: Int?, _ seconds: Int? = nil) -> Microseconds? {
      RetryPolicy.delay(afterAttempt: attempt, status: status, retryAfterSeconds: seconds)
    }
    for status in [200, 201, 202, 400, 401, 404, 409, 422] { #expect(delay(1, status, 1) == nil) }
    #expect(delay(1, 503, 2) == 2_000_000 && delay(1, 503) == 1_000_000 && delay(1, 429, 600) == 5_000_000)
    #expect(delay(1, nil) == 50_000 && delay(2, nil) == 100_000 && delay(90, nil) == 1_000_000)
  }
}
