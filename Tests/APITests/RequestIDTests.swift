import Testing

@testable import API

@Suite struct RequestIDTests {
  @Test func isTheClientsIfItIsFitToBeLogged() {
    for given in ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", String(repeating: "x", count: 128)] {
      #expect(RequestID.ofRequest(with: given) == given)
    }
    for given in ["", "a b", "é", String(repeating: "x", count: 129)] {
      #expect(RequestID.ofRequest(with: given) != given)
    }
  }

  @Test func isOtherwise32HexadecimalDigitsThatDiffer() {
    let ids = (0..<10_000).map { _ in RequestID.random() }
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.utf8.count == 32 && $0.allSatisfy { "0123456789abcdef".contains($0) } })
    // Every digit takes every value.
    for index in 0..<32 { #expect(Set(ids.map { Array($0.utf8)[index] }).count == 16) }
  }
}
