import Testing

@testable import Rehearsal

/// Verdicts against the table of payment events. Hold 0 is granted at 0 s, and ordered at 1 s.
@Suite struct VerdictTests {
  private static func story(_ build: (inout Story) -> Void) -> Story {
    var story = Story()
    story.hold(0)
    story.order(0)
    build(&story)
    story.readState()
    return story
  }

  private static func verdicts(_ build: (inout Story) -> Void) -> [String] {
    story(build).violations["verdicts_explained"] ?? []
  }

  @Test func `a verdict that fits what was sent before is explained`() {
    #expect(Self.verdicts { $0.payment(0, "applied", "paid") } == [])
    #expect(Self.verdicts { $0.payment(0, "applied", "cancelled", status: .failed) } == [])
    #expect(Self.verdicts { $0.payment(0, "parked", nil, at: 500) } == [])
    // The event and the order are under way at the same time.
    #expect(Self.verdicts { $0.payment(0, "parked", nil, at: 1005) } == [])
    #expect(
      Self.verdicts {
        $0.payment(0, "applied", "cancelled", status: .failed)
        $0.payment(0, "reacquired", "paid", key: "again", at: 3000)
      } == [])
    #expect(
      Self.verdicts {
        $0.payment(0, "applied", "cancelled", status: .failed)
        $0.payment(0, "refund_due", "cancelled", key: "again", at: 3000)
      } == [])
    #expect(
      Self.verdicts {
        $0.payment(0, "applied", "paid")
        $0.payment(0, "refund_due", "paid", key: "again", at: 3000)
        $0.payment(0, "ignored", "paid", status: .failed, key: "failure", at: 4000)
      } == [])
    // The order's 15 minutes have run out.
    #expect(Self.verdicts { $0.payment(0, "reacquired", "paid", at: 902_000) } == [])
    #expect(Self.verdicts { $0.payment(0, "refund_due", "expired", at: 902_000) } == [])
  }

  @Test(arguments: [
    ("parked", nil, RequestTemplate.PaymentStatus.success), ("reacquired", "paid", .success),
    ("refund_due", "expired", .success), ("ignored", "expired", .failed),
    ("amount_mismatch", "pending_payment", .success),
    ("applied", "cancelled", .success), ("applied", "paid", .failed), ("ignored", "paid", .success),
    ("new", "paid", .success),
  ])
  func `a verdict that nothing explains is found`(
    verdict: String, orderStatus: String?, status: RequestTemplate.PaymentStatus
  ) {
    #expect(Self.verdicts { $0.payment(0, verdict, orderStatus, status: status) } == ["unexplained_verdict"])
  }

  @Test func `a payment that is applied before any request for the order is found`() {
    var story = Story()
    story.hold(0)
    story.payment(0, "applied", "paid", at: 500)
    story.order(0)
    story.readState()
    #expect(story.violations["verdicts_explained"] == ["unexplained_verdict"])
  }

  @Test func `two payments that both took effect are found`() {
    let verdicts = Self.verdicts {
      $0.payment(0, "applied", "paid")
      $0.payment(0, "applied", "paid", key: "again", at: 2005)
    }
    #expect(verdicts == ["paid_twice"])
  }

  @Test func `a failure after a payment that was applied is found`() {
    let later = Self.verdicts {
      $0.payment(0, "applied", "paid")
      $0.payment(0, "applied", "cancelled", status: .failed, key: "failure", at: 3000)
    }
    #expect(later == ["unexplained_verdict", "applied_twice"])
    let together = Self.verdicts {
      $0.payment(0, "applied", "paid")
      $0.payment(0, "applied", "cancelled", status: .failed, key: "failure", at: 2005)
    }
    #expect(together == ["applied_twice"])
  }

  @Test func `a parked event that stays parked after its order is found`() {
    var story = Story()
    story.hold(0)
    story.payment(0, "parked", nil, at: 500)
    story.order(0, state: "paid")
    story.payment(0, "parked", nil, at: 3000, isReplay: true)
    story.readState()
    #expect(story.violations["verdicts_explained"] == ["unexplained_verdict"])
  }
}
