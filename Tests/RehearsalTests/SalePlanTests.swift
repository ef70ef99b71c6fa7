import Testing

@testable import Rehearsal

@Suite struct SalePlanTests {
  private static func scenario(_ change: (inout Scenario) -> Void = { _ in }) -> Scenario {
    var scenario = Scenario()
    scenario.buyers = 5000
    scenario.seed = 42
    change(&scenario)
    return scenario
  }

  @Test func `two plans with one seed have the same requests in the same order`() {
    let (first, second) = (SalePlan(Self.scenario()), SalePlan(Self.scenario()))
    #expect(first == second)
    #expect(first.requests.map(\.description) == second.requests.map(\.description))
    let other = SalePlan(Self.scenario { $0.seed = 43 })
    #expect(first.requests.map(\.description) != other.requests.map(\.description))
  }

  @Test func `a request is described without the ids that the server chooses`() {
    var plan = SalePlan(Self.scenario()).buyers[0]
    (plan.behaviour, plan.quantity, plan.clicks, plan.deliveries) = (.paysEarly, 2, 1, 1)
    (plan.holdKey, plan.orderKey, plan.paymentKeys) = ("a", "b", ["c", "d"])
    #expect(
      plan.requests.map(\.description) == [
        #"POST /api/holds key a {"product_id":{product},"quantity":2}"#,
        #"POST /api/payments/webhook key c {"order_id":{order},"status":"success"}"#,
        #"POST /api/orders key b {"hold_id":{hold}}"#,
      ])
  }

  @Test(arguments: ArrivalPattern.allCases)
  func `arrivals are in order and within the sale`(_ pattern: ArrivalPattern) {
    let plan = SalePlan(Self.scenario { $0.arrival = pattern })
    let arrivals = plan.buyers.map(\.arrival)
    #expect(arrivals == arrivals.sorted() && arrivals.allSatisfy { 0...60_000_000 ~= $0 })
    let inFirstTenth = Double(arrivals.count { $0 < 6_000_000 }) / Double(arrivals.count)
    let expected =
      switch pattern {
      case .spike: 0.632
      case .ramp: 0.01
      case .poisson: 0.1
      }
    #expect(abs(inFirstTenth - expected) < 0.02, "\(inFirstTenth)")
  }

  @Test func `the shares of behaviours are those of the scenario`() {
    let plan = SalePlan(Self.scenario { ($0.early, $0.late, $0.fail) = (0.1, 0.1, 0.2) })
    func share(_ behaviours: Set<BuyerPlan.Behaviour>) -> Double {
      Double(plan.buyers.count { behaviours.contains($0.behaviour) }) / Double(plan.buyers.count)
    }
    #expect(abs(share([.abandons, .releases]) - 0.25) < 0.03)
    #expect(abs(share([.fails, .failsThenPays]) - 0.2) < 0.03)
    #expect(abs(share([.paysEarly]) - 0.1) < 0.02 && abs(share([.paysLate]) - 0.1) < 0.02)
    #expect(abs(Double(plan.buyers.count(where: \.isBot)) / 5000 - 0.1) < 0.02)
    for behaviour in BuyerPlan.Behaviour.allCases { #expect(share([behaviour]) > 0.02, "\(behaviour)") }
  }

  @Test func `every key is used for one purpose`() {
    let keys = SalePlan(Self.scenario()).buyers.flatMap { [$0.holdKey, $0.orderKey] + $0.paymentKeys }
    #expect(Set(keys).count == keys.count && keys.allSatisfy { $0.utf8.count == 32 })
  }

  @Test func `a scenario that makes no sense has a problem`() {
    #expect(Self.scenario().problem == nil)
    #expect(Self.scenario { $0.buyers = 0 }.problem?.contains("--buyers") == true)
    #expect(Self.scenario { $0.late = 1.5 }.problem?.contains("--late") == true)
    #expect(Self.scenario { $0.seconds = .nan }.problem?.contains("--seconds") == true)
    #expect(Self.scenario { ($0.abandon, $0.fail) = (0.6, 0.6) }.problem?.contains("add up") == true)
  }
}
