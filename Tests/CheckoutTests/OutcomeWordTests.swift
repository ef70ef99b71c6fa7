import Testing

@testable import Checkout

/// An outcome has one spelling, in the database and in the metrics.
@Suite struct OutcomeWordTests {
  @Test func `outcomes of a hold are spelled alike in database and metrics`() {
    let words = Set(ReserveHold.Word.allCases.map(\.rawValue)).subtracting(["later"])
    #expect(words.isSubset(of: ReserveHold.Outcome.words))
  }

  @Test func `outcomes of an order are spelled alike in database and metrics`() {
    let words = Set(PlaceOrder.Word.allCases.map(\.rawValue)).subtracting(["later"])
    #expect(words.isSubset(of: PlaceOrder.Outcome.words))
  }

  @Test func `verdicts of a payment event are spelled alike in database and metrics`() {
    #expect(Set(PaymentEvent.Verdict.allCases.map(\.rawValue)).isSubset(of: ApplyPaymentEvent.Outcome.words))
  }

  @Test func `outcomes of a refund are spelled alike in database and metrics`() {
    #expect(Set(RefundOrder.Word.allCases.map(\.rawValue)).isSubset(of: RefundOrder.Outcome.words))
  }
}
