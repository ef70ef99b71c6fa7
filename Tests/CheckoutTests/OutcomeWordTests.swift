import Testing

@testable import Checkout

/// An outcome has one spelling, in the database and in the metrics.
@Suite struct OutcomeWordTests {
  @Test func `the database's words for a hold are those of the metrics`() {
    let words = Set(ReserveHold.Word.allCases.map(\.rawValue)).subtracting(["later"])
    #expect(words.isSubset(of: ReserveHold.Outcome.words))
  }

  @Test func `the database's words for an order are those of the metrics`() {
    let words = Set(PlaceOrder.Word.allCases.map(\.rawValue)).subtracting(["later"])
    #expect(words.isSubset(of: PlaceOrder.Outcome.words))
  }
}
