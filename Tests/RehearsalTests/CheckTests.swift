import Testing

@testable import Rehearsal

/// Each test plants one violation in the evidence, and expects the check to find it.
@Suite struct CheckTests {
  @Test func `all checks hold for a correct sale`() {
    #expect(Story.clean.violations.isEmpty, "\(Story.clean.violations)")
    #expect(Report(Story.clean.evidence).holds)
  }

  // MARK: Stock

  @Test func `more units granted than the stock are found, also if nothing shows at the end`() throws {
    var story = Story(stock: 2)
    for number in 0..<3 { story.hold(number, at: Int64(number) * 100) }
    story.release(0)
    story.readState()
    #expect(story.violations == ["never_oversold": ["oversold"]])
    let violation = try #require(Checks.all(story.evidence).first { !$0.holds }?.violations.first)
    #expect(violation.ids == ["hold_0", "hold_1", "hold_2"] && violation.keys == ["h0", "h1", "h2"])
    #expect(violation.times == [.milliseconds(210)])
  }

  @Test func `a unit that came back before the next grant is not oversold`() {
    var story = Story(stock: 1)
    story.hold(0)
    story.release(0, at: 1000)
    story.hold(1, at: 1020)
    story.readState()
    #expect(story.violations.isEmpty, "\(story.violations)")
  }

  @Test func `a failed payment and a lapsed hold give their units back`() {
    var story = Story(stock: 1)
    story.hold(0)
    story.order(0)
    story.payment(0, "applied", "cancelled", status: .failed)
    story.hold(1, at: 3000)
    story.readState()
    #expect(story.violations.isEmpty, "\(story.violations)")

    var lapsed = Story(stock: 1)
    lapsed.hold(0)
    lapsed.hold(1, at: 121_000)
    #expect(NeverOversold.peak(Ledger(lapsed.evidence)).units == 1)
    var early = Story(stock: 1)
    early.hold(0)
    early.hold(1, at: 110_000)
    #expect(NeverOversold.peak(Ledger(early.evidence)).units == 2)
  }

  @Test func `units that are missing or appear at the end are found`() {
    var story = Story.clean
    story.evidence.readings.stockBefore?.available -= 1
    story.evidence.readings.stockAfter?.available -= 1
    #expect(story.violations == ["sold_exactly": ["units_do_not_add_up"], "stock_as_expected": ["units_are_missing"]])
    story = .clean
    story.evidence.readings.stockBefore?.available += 1
    story.evidence.readings.stockAfter?.available += 1
    #expect(story.violations == ["sold_exactly": ["units_do_not_add_up"], "stock_as_expected": ["units_came_back"]])
  }

  @Test func `units that come back while the state is read are no violation`() {
    var story = Story.clean
    story.evidence.readings.stockBefore?.available -= 1
    #expect(story.violations.isEmpty, "\(story.violations)")
  }

  @Test func `a hold without a known response may have taken units`() {
    var story = Story.clean
    story.unknownHold(7)
    story.evidence.readings.stockBefore?.available -= 1
    story.evidence.readings.stockAfter?.available -= 1
    #expect(story.violations["stock_as_expected"] == nil)
    #expect(story.violations["responses_known"] == ["no_outcome"])
  }

  // MARK: Acknowledged and lost

  @Test func `an acknowledged hold that is gone is found`() {
    var story = Story.clean
    story.evidence.readings.holds[5].status = 404
    story.evidence.readings.holds[5].state = nil
    #expect(story.violations["nothing_lost"] == ["hold_lost"])
  }

  @Test func `an acknowledged hold in a wrong state is found`() {
    var story = Story.clean
    story.evidence.readings.holds[5].state = "expired"
    #expect(story.violations["nothing_lost"] == ["hold_state_wrong"])
    story = .clean
    story.evidence.readings.holds[4].state = "active"
    #expect(story.violations["nothing_lost"] == ["hold_state_wrong"])
  }

  @Test func `an acknowledged order that is gone, unpaid or of another quantity is found`() {
    var story = Story.clean
    story.evidence.readings.orders[0].status = 404
    story.evidence.readings.orders[0].state = nil
    #expect(story.violations["nothing_lost"] == ["order_lost"])
    story = .clean
    story.evidence.readings.orders[0].state = "pending_payment"
    #expect(story.violations == ["nothing_lost": ["order_state_wrong"]])
    story = .clean
    story.evidence.readings.orders[0].quantity = 1
    #expect(story.violations["nothing_lost"] == ["order_changed"])
  }

  @Test func `a parked payment that the order did not take over is found`() {
    var story = Story.clean
    story.evidence.readings.orders[3].state = "pending_payment"
    #expect(story.violations["nothing_lost"] == ["order_state_wrong"])
  }

  @Test func `an acknowledged payment event that is not recorded, or otherwise, is found`() {
    var story = Story.clean
    story.evidence.readings.events.removeAll { $0.key == "7-p2" }
    #expect(story.violations == ["nothing_lost": ["payment_lost"]])
    story = .clean
    story.evidence.readings.events[0].verdict = "refund_due"
    #expect(story.violations["nothing_lost"]?.first == "payment_changed")
  }

  // MARK: One effect for each key

  @Test func `two holds under one key are found`() {
    var story = Story.clean
    story.hold(8, at: 100, key: "h0")
    story.readState()
    #expect(story.violations["one_effect_per_key"] == ["two_effects", "two_effects", "units_differ"])
  }

  @Test func `a repeat that is refused after the key had an effect is found`() {
    var story = Story.clean
    story.refused(0, at: 500)
    story.readState()
    #expect(story.violations["one_effect_per_key"] == ["effect_forgotten"])
  }

  @Test func `one hold under two keys is found`() {
    var story = Story.clean
    story.hold(5, at: 100, key: "other", isReplay: true)
    story.readState()
    #expect(story.violations == ["one_effect_per_key": ["shared_hold"]])
  }

  @Test func `two verdicts, two first responses and two records of one payment event are found`() {
    var story = Story.clean
    story.payment(0, "refund_due", "paid", at: 2500, isReplay: true)
    #expect(story.violations["one_effect_per_key"] == ["two_verdicts"])
    story = .clean
    story.payment(0, "applied", "paid", at: 2500)
    #expect(story.violations == ["one_effect_per_key": ["two_effects"]])
    story = .clean
    story.evidence.readings.events.append(story.evidence.readings.events[0])
    #expect(story.violations == ["one_effect_per_key": ["recorded_twice"]])
  }

  @Test func `an order with the number of another hold is found`() {
    var story = Story.clean
    let order = story.order(5)
    story.evidence.requests[order].response?.orderID = "order_4"
    story.readState()
    #expect(story.violations["one_effect_per_key"] == ["other_order"])
  }

  // MARK: Responses and invariants

  @Test func `responses that the contract does not allow are found`() {
    var story = Story.clean
    story.refused(7, "internal-error", status: 500)
    #expect(story.violations["responses_explained"]?.first == "internal_error")
    story = .clean
    story.refused(7, "sale-ended")
    #expect(story.violations == ["responses_explained": ["unexplained_response"]])
    story = .clean
    story.refused(7, "not-found", status: 404)
    #expect(story.violations == ["responses_explained": ["unexplained_response"]])
  }

  @Test func `an order that is refused because of a hold that cannot have lapsed is found`() {
    var story = Story.clean
    let order = story.order(5)
    story.evidence.requests[order].response = SaleResponse(status: 409)
    story.evidence.requests[order].response?.problem = "hold-expired"
    #expect(story.violations["responses_explained"] == ["unexplained_response"])
  }

  @Test func `a broken or unreadable invariant is found`() {
    var story = Story.clean
    story.evidence.readings.invariants?[0].ok = false
    #expect(story.violations == ["invariants_hold": ["stock_is_conserved"]])
    story.evidence.readings.invariants = nil
    #expect(story.violations == ["invariants_hold": ["invariants_unknown"]])
  }
}
