/// The complete list of buyers. It depends only on the scenario.
package struct SalePlan: Equatable, Sendable {
  /// The share of buyers that click twice.
  static let doubleClickShare = 0.1
  /// The share of abandoning buyers that release their hold.
  static let releaseShare = 1.0 / 3
  /// The share of buyers with a failed payment that pay again.
  static let payAgainShare = 0.5

  package let scenario: Scenario
  /// In the order of their arrival.
  package let buyers: [BuyerPlan]

  package init(_ scenario: Scenario) {
    var random = SeededGenerator(state: scenario.seed)
    let arrivals = scenario.arrival.instants(count: scenario.buyers, seconds: scenario.seconds, using: &random)
    self.scenario = scenario
    // Each buyer has a generator of its own, so no decision depends on the decisions of other buyers.
    buyers = arrivals.enumerated().map { number, arrival in
      var own = SeededGenerator(state: random.next())
      return Self.buyer(number, at: arrival, scenario, using: &own)
    }
  }

  /// All requests in the order of arrival, if the server refuses none.
  package var requests: [RequestTemplate] { buyers.flatMap(\.requests) }

  private static func buyer(
    _ number: Int, at arrival: Microseconds, _ scenario: Scenario, using random: inout SeededGenerator
  ) -> BuyerPlan {
    func share() -> Double { Double.random(in: 0..<1, using: &random) }
    func between(_ range: ClosedRange<Int64>) -> Microseconds { .milliseconds(Int64.random(in: range, using: &random)) }
    func key() -> String { hexadecimal(random.next()) + hexadecimal(random.next()) }

    let behaviour = behaviour(share(), detail: share(), scenario)
    let isBot = share() < scenario.bots
    return BuyerPlan(
      number: number, arrival: arrival, quantity: quantity(share()), behaviour: behaviour, isBot: isBot,
      retries: isBot ? Int.random(in: 5...20, using: &random) : 0,
      retryDelay: isBot ? between(50...300) : 0,
      clicks: share() < doubleClickShare ? 2 : 1, deliveries: scenario.duplicates,
      // People need seconds to fill in a form. Bots do not.
      thinkBeforeOrder: between(isBot ? 1...50 : 200...3000),
      thinkBeforePayment: between(isBot ? 1...50 : 100...2000),
      holdKey: key(), orderKey: key(), paymentKeys: [key(), key()])
  }

  private static func behaviour(_ draw: Double, detail: Double, _ scenario: Scenario) -> BuyerPlan.Behaviour {
    var rest = draw
    func isBelow(_ share: Double) -> Bool {
      defer { rest -= share }
      return rest < share
    }
    if isBelow(scenario.abandon) { return detail < releaseShare ? .releases : .abandons }
    if isBelow(scenario.fail) { return detail < payAgainShare ? .failsThenPays : .fails }
    if isBelow(scenario.early) { return .paysEarly }
    if isBelow(scenario.late) { return .paysLate }
    return .pays
  }

  /// Most buyers want one unit, and few want four.
  private static func quantity(_ draw: Double) -> Int {
    switch draw {
    case ..<0.7: 1
    case ..<0.9: 2
    case ..<0.97: 3
    default: 4
    }
  }

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
